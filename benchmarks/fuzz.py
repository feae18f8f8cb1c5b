"""Check any number of random inputs of every kind, and print what failed.

    python fuzz.py 100000                        # this many inputs, divided among the kinds
    python fuzz.py 5000 --kind models --seed 7000
    python fuzz.py 1000 --kind plugin            # needs LAMMPS and a compiler

Kind and seed determine an input. `tests/fuzzing.py` has the kinds and checks the inputs, in
processes that may crash or be stopped. The script prints a failure with the seed that repeats it:

    python tests/fuzzing.py KIND SEED SEED+1

The exit code is 1 if anything failed.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import fuzzing  # noqa: E402

# Of 100 inputs; models take a hundred times as long as files.
SHARES = {"potentials": 45, "equations": 20, "calculators": 30, "models": 5}
BATCH = 2000


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("number", type=int, help="number of inputs")
    parser.add_argument(
        "--kind", choices=list(fuzzing.KINDS), help="one kind instead of all that need no LAMMPS"
    )
    parser.add_argument("--seed", type=int, default=0, help="first seed of every kind (default: 0)")
    parser.add_argument(
        "--limit", type=float, default=fuzzing.LIMIT, help="seconds for one input (default: 60)"
    )
    parser.add_argument(
        "--time", type=float, default=float("inf"), help="begin nothing after so many seconds"
    )
    options = parser.parse_args()

    if options.kind == "plugin":
        from plip.lammps import build_plugin

        folder = tempfile.TemporaryDirectory()
        os.environ["LAMMPS_PLUGIN_PATH"] = str(build_plugin(folder.name).parent)
    shares = {options.kind: 100} if options.kind else SHARES
    start = time.monotonic()
    failed = False
    print(
        f"{'kind':12}{'inputs':>8}{'held':>8}{'refused':>9}{'failed':>8}{'crashed':>9}{'hung':>6}{'seconds':>9}"
    )
    for kind, share in shares.items():
        begin, total, failures, done = time.monotonic(), None, [], 0
        wanted = options.number * share // 100
        while done < wanted and time.monotonic() - start < options.time:
            count = min(BATCH, wanted - done)
            counts, more = fuzzing.run(kind, options.seed + done, count, options.limit)
            total = counts if total is None else total + counts
            failures += more
            done += count
        columns = [(total or {}).get(name, 0) for name in ("held", "refused", "failed", "crashed", "hung")]
        seconds = time.monotonic() - begin
        print("{:12}{:8}{:8}{:9}{:8}{:9}{:6}{:9.0f}".format(kind, done, *columns, seconds), flush=True)
        for seed, message in failures:
            print(f"    {kind} {seed}: {message}")
        failed |= bool(failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
