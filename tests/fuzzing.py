"""Check random inputs of every kind, each made from a seed alone.

    python tests/fuzzing.py KIND FIRST LAST [SECONDS]

checks the inputs of these seeds in this process and writes a line on each; an input that takes longer than so
many seconds ends it with a traceback. `run` starts such processes, so that a crash or a hang costs one input
only.

Kinds: "models" (design rows, normal equations and potential agree; gradients), "calculators" (one calculator
through many changes against fresh evaluations), "potentials" and "equations" (damaged files are refused, by
name, or load and work), "plugin" (LAMMPS reads what Python reads). They are in `random_inputs`.
"""

import faulthandler
import os
import re
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from random_inputs.calculators import check_calculator
from random_inputs.files import check_equations, check_potential
from random_inputs.models import check_model
from random_inputs.plugin import check_plugin
from random_inputs.verdicts import Refused

# Seconds that one input may take; 1000 times what most take.
LIMIT = 60.0

KINDS = {
    "models": check_model,
    "calculators": check_calculator,
    "potentials": check_potential,
    "equations": check_equations,
    "plugin": check_plugin,
}


def check(kind, seed):
    """Check the input of a seed; returns "held" or "refused", raises whatever is wrong."""
    rng = np.random.default_rng([list(KINDS).index(kind), seed])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A warning of NumPy points to a number that is not checked.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            KINDS[kind](rng)
        except Refused:
            return "refused"
    return "held"


def _child(kind, first, last, seconds):
    # Imports may take longer than an input.
    from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, load_potential  # noqa: F401

    faulthandler.enable()
    for seed in range(first, last):
        print("begin", seed, flush=True)
        faulthandler.dump_traceback_later(seconds, exit=True)
        try:
            outcome = check(kind, seed)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            frames = traceback.extract_tb(error.__traceback__)
            place = next((f for f in reversed(frames) if "/plip/" in f.filename), frames[-1])
            message = re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")[:400]
            outcome = f"failed {Path(place.filename).name}:{place.lineno} {message}"
        faulthandler.cancel_dump_traceback_later()
        print("end", outcome, flush=True)


def run(kind, first, count, seconds=LIMIT):
    """Check `count` inputs from the seed `first` on, in processes of their own.

    Returns
    -------
    counts : Counter
        "held", "refused", "failed", "crashed", "hung".
    failures : list of (int, str)
        Seeds and what happened.
    """
    counts, failures = Counter(), []
    seed, last = first, first + count
    # The modules that this process finds, wherever it was told of them.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    while seed < last:
        command = [sys.executable, __file__, kind, str(seed), str(last), str(seconds)]
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            ) as child,
        ):
            begun = None
            for line in child.stdout:
                word, _, rest = line.rstrip("\n").partition(" ")
                if word == "begin":
                    begun = int(rest)
                elif word == "end":
                    outcome, _, message = rest.partition(" ")
                    counts[outcome] += 1
                    if message:
                        failures.append((begun, message))
                    seed, begun = begun + 1, None
            code = child.wait()
            errors.seek(0)
            text = errors.read()
        if begun is None and code:
            raise RuntimeError(f"the checks could not run: {text[-2000:]}")
        if begun is not None:
            outcome = "hung" if "Timeout (" in text else "crashed"
            counts[outcome] += 1
            failures.append((begun, f"{outcome} with exit code {code}: {text[-1500:]}"))
            seed = begun + 1
    return counts, failures


if __name__ == "__main__":
    _kind, _first, _last, *_rest = sys.argv[1:]
    _child(_kind, int(_first), int(_last), float(_rest[0]) if _rest else LIMIT)
