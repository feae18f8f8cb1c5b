"""``python -m plip`` is the command ``plip``."""

import sys

from plip.cli import main

if __name__ == "__main__":
    sys.exit(main())
