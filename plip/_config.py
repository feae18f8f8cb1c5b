"""What this installation runs on."""

from __future__ import annotations

import os
import platform
from importlib import import_module, metadata
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

import plip

__all__ = ["show_config"]

_DEPENDENCIES = ("ase", "joblib", "numpy", "scikit-learn", "scipy")
_OF_LIBRARY = ("user_api", "internal_api", "version", "architecture", "num_threads")

# Names that OpenBLAS gives to its kernels for AVX2.
_OPENBLAS_AVX2 = {"Haswell", "Zen"}


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show which instruction set runs and what the package is built on.

    Parameters
    ----------
    mode : {"stdout", "dict"}, default="stdout"
        Whether to print the configuration or to return it.

    Returns
    -------
    dict or None
        With ``mode="dict"``:

        - ``plip``, ``python``, ``platform``: str.
        - ``instruction_sets``: dict of ``kernels`` and ``core`` (str, what the descriptor kernels and the
          evaluation core run), ``processor`` and ``built`` (list of str, what the processor runs and what
          both were built for, fastest first).
        - ``versions``: dict of the versions of the dependencies, None for one that is not installed.
        - ``processors``: int, processors of the machine.
        - ``threadpools``: list of dicts, one per library that has threads of its own: ``user_api``,
          ``internal_api``, ``version``, ``architecture``, ``num_threads``.

    Raises
    ------
    ValueError
        If `mode` is neither.

    Notes
    -----
    A fit runs each of its matrix products on one BLAS thread, whatever ``num_threads`` says; `n_jobs` uses
    more processors. Some releases of OpenBLAS do not know newer processors and leave their AVX-512 unused;
    the text then says how to change that.

    Examples
    --------
    >>> import plip
    >>> plip.show_config("dict")["plip"] == plip.__version__
    True
    """
    if mode not in ("stdout", "dict"):
        raise ValueError(f"mode must be 'stdout' or 'dict', got {mode!r}")
    config = _collect()
    if mode == "dict":
        return config
    print(_as_text(config))
    return None


def _collect() -> dict[str, Any]:
    from plip._core import Core
    from plip._core._rows import instruction_sets

    # SciPy has a BLAS of its own, which threadpoolctl sees only once it is loaded.
    import_module("scipy.linalg")
    processor, built = instruction_sets()
    return {
        "plip": plip.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "instruction_sets": {
            "kernels": processor[0],
            "core": Core(["H"], [], np.zeros(1)).simd,
            "processor": processor,
            "built": built,
        },
        "versions": {name: _version(name) for name in _DEPENDENCIES},
        "processors": os.cpu_count(),
        "threadpools": [{name: library.get(name) for name in _OF_LIBRARY} for library in threadpool_info()],
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _as_text(config: dict[str, Any]) -> str:
    sets = config["instruction_sets"]
    lines = [
        f"plip {config['plip']}, Python {config['python']}, {config['platform']}",
        f"processors: {config['processors']}",
        f"instruction set: {sets['kernels']} (descriptor kernels), {sets['core']} (evaluation core)",
        f"    processor has {', '.join(sets['processor'])}; built for {', '.join(sets['built'])}",
        "versions: " + ", ".join(f"{name} {version}" for name, version in config["versions"].items()),
        "threads:",
    ]
    for library in config["threadpools"]:
        named = [library[name] for name in ("internal_api", "version", "architecture") if library[name]]
        lines.append(f"    {library['user_api']}: {' '.join(named)}, {library['num_threads']}")
    if "avx512" in sets["processor"] and any(map(_leaves_vectors_unused, config["threadpools"])):
        chosen = os.environ.get("OPENBLAS_CORETYPE")
        how = (
            f"without the environment variable OPENBLAS_CORETYPE={chosen}"
            if chosen
            else "with the environment variable OPENBLAS_CORETYPE=SkylakeX"
        )
        lines.append(
            f"OpenBLAS runs kernels for AVX2, though the processor has AVX-512: fits are faster {how}"
        )
    return "\n".join(lines)


def _leaves_vectors_unused(library: dict[str, Any]) -> bool:
    return library["internal_api"] == "openblas" and library["architecture"] in _OPENBLAS_AVX2
