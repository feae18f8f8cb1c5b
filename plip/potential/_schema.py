"""The JSON Schema of the format of a potential."""

import json
from importlib import resources
from typing import Any

__all__ = ["potential_schema"]


def potential_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of files of potentials, for other programs that read or write them.

    Returns
    -------
    dict
        The content of ``plip/potential/potential.schema.json``. It cannot express everything that
        `load_potential` checks: its description names what is left.

    Examples
    --------
    >>> from plip.potential import potential_schema
    >>> potential_schema()["properties"]["units"]
    {'const': {'energy': 'eV', 'length': 'Angstrom'}}
    """
    text = resources.files("plip.potential").joinpath("potential.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
