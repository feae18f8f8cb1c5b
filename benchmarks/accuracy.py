"""The accuracy of plip and of its peers on seven materials by one protocol, as a table and a figure.

    python benchmarks/accuracy.py                                  # whatever is not yet in accuracy.json
    python benchmarks/accuracy.py --data Si Mo --models readable   # a part of it
    python benchmarks/accuracy.py --models                         # only table and figure, anew

The protocol:

- Train and test files are those that were published with the data. Where there is no test file (Ta, SiO2), a
  fifth of each group of structures is held out, the fifth of ``plip fit --test-fraction 0.2 --seed 0``.
- The number of terms is chosen by cross-validation on the training structures (ten folds, five for less than
  50 structures). The rows "accurate", "readable", "fast" and "stock" are ``plip fit --target`` with its
  defaults, weights included. "extensive" is the preset of this name, at most 300 terms, with the size, the
  energy weight (40 or 80) and the contribution penalty (none or the default) that minimize the error of
  cross-validation with five folds.
- Peers (see `peers.py`) fit energies and forces of the same structures with the settings in their script.
  Those whose modules cannot be imported are left out.
- Test structures choose nothing. They are read once for each model, since a result in the file of results is
  not measured again. Root mean squares over all test structures are in the table, those of each group in the
  file of results, beside the coverage of uncertainties and the CPU seconds of the fit with cross-validation.

The cancellation is the median over the training structures. `accuracy.json` keeps each result with the
version of the package that it is of.
"""

import argparse
import csv
import json
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import peers
from ase.io import write
from materials import from_file

import plip
from plip import PLIPDescriptors, PLIPRegressorCV
from plip.cli._commands import PURPOSES
from plip.cli._data import Data, split
from plip.datasets import load_silicon_carbide
from plip.metrics import Evaluation, cancellation, read_groups

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "accuracy.json"
DOC = HERE.parent / "doc"
TEST_FRACTION = 0.2
ENERGY_WEIGHTS = [40.0, 80.0]
PENALTIES = ["auto", 0.0]
# Files of training and test structures; None: a part of the training structures is the test.
DATA = {
    "Si": ("Si_train.xyz", "Si_test.xyz"),
    "Mo": ("Mo_train.xyz", "Mo_test.xyz"),
    "Ta": ("Ta.xyz", None),
    "Mo-Nb": ("MoNb_train.xyz", "MoNb_test.xyz"),
    "Mo-Nb-Ta": ("MoNbTa_train.xyz", "MoNbTa_test.xyz"),
    "SiC": None,
    "SiO2": ("SiO2_forces.xyz", None),
}
MODELS = {
    **PURPOSES,
    "extensive": {
        "preset": "extensive",
        "max_terms": 300,
        "selection": "min",
        "energy_weights": ENERGY_WEIGHTS,
        "penalties": PENALTIES,
        "cv": 5,
    },
}
PEERS = [name for name in peers.MODELS if not name.startswith("plip")]
# Of the same test files: label, coefficients, energy (meV/atom), force (eV/A), source.
PUBLISHED = {
    "Si": [("MTP", 913, 3.02, 0.088, "Zuo et al. (2020)")],
    "Mo": [("MTP", 329, 3.98, 0.151, "Zuo et al. (2020)")],
}
COLUMNS = {
    "data": "data",
    "model": "model",
    "terms": "terms",
    "cv energy": "CV meV/atom",
    "cv force": "CV eV/Å",
    "energy": "test meV/atom",
    "force": "test eV/Å",
    "stress": "test GPa",
    "cancellation": "cancellation",
}


def load(name):
    """Training and test structures, or None where the data are not at hand."""
    if name == "SiC":
        return load_silicon_carbide()
    train_file, test_file = DATA[name]
    train = from_file(train_file)()
    if train is None:
        return None
    if test_file is not None:
        return train, from_file(test_file)()
    places = [f"structure {k}" for k in range(len(train))]
    parts = split(Data(train, places, read_groups(train)), TEST_FRACTION)
    return tuple(part.structures for part in parts)


def version():
    """Version of the package and, in a clone, the last commit that changed it."""
    command = ["git", "log", "-1", "--format=%h", "--", "."]
    folder = Path(plip.__file__).parent
    found = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    commit = found.stdout.strip()
    return f"{plip.__version__} ({commit})" if commit else plip.__version__


def fit(name, train):
    """The fitted model; where more than one penalty is tried, the one that cross-validation prefers."""
    settings = {"preset": "accurate", "penalties": ["auto"], **MODELS[name]}
    descriptors = PLIPDescriptors.preset(settings.pop("preset"))
    penalties = settings.pop("penalties")
    # Without energies there is no weight to choose.
    if all("energy" not in atoms.calc.results for atoms in train):
        settings.pop("energy_weights", None)
    best, least = None, np.inf
    for penalty in penalties:
        model = PLIPRegressorCV(descriptors, contribution_penalty=penalty, **settings).fit(train)
        error = model.cv_results_["mean_error"][model.selected_size_]
        if error < least:
            best, least = model, error
    return best


def measure(name, train, test):
    """The result of a model of plip."""
    start = time.process_time()
    model = fit(name, train)
    seconds = time.process_time() - start
    evaluation = Evaluation(model.potential_, test)
    return {
        "terms": model.n_terms_,
        "columns": len(model.coef_),
        "energy_weight": model.energy_weight_,
        "contribution_penalty": model.contribution_penalty,
        "train": len(train),
        "cv": rounded(Evaluation.of_folds(model, train).errors()),
        "test": rounded(evaluation.summary()),
        "uncertainty": rounded(evaluation.uncertainty()),
        "cancellation": rounded(float(np.median(cancellation(model.potential_, train)))),
        "is_safe": model.potential_.check_safety(train).is_safe,
        "cpu_seconds": round(seconds, 1),
        "version": version(),
    }


def measure_peer(name, train, test, timeout):
    """The result of a peer, or a sentence on why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, f"{part}.xyz")) for part in ("train", "test")]
        for path, structures in zip(paths, (train, test), strict=True):
            write(path, structures, format="extxyz")
        found = peers.run_apart(name, *paths, timeout)
    if isinstance(found, str):
        return found
    errors = {f"{target}_rmse": value for target, value in found["test"].items() if np.isfinite(value)}
    return {
        "terms": found["coefficients"],
        "train": len(train),
        "test": rounded(errors),
        "cpu_seconds": round(found["cpu"], 1),
        "version": peers.packages(name),
    }


def rounded(found):
    """Floats of a nested dict with six digits."""
    if isinstance(found, dict):
        return {key: rounded(value) for key, value in found.items()}
    return float(f"{found:.6g}") if isinstance(found, float) else found


def complete(results, data, models, timeout, path):
    """Measure what `results` lacks; write them after each model."""
    for name in data:
        missing = [model for model in models if model not in results.get(name, {})]
        structures = load(name) if missing else None
        if structures is None:
            if missing:
                print(f"{name}: no data; see benchmarks/materials.py")
            continue
        for model in missing:
            if model in PEERS:
                found = measure_peer(model, *structures, timeout)
            else:
                found = measure(model, *structures)
            if isinstance(found, str):
                print(f"{name}, {model}: {found}")
                continue
            results.setdefault(name, {})[model] = found
            path.write_text(json.dumps(results, indent=1) + "\n")
            print(f"{name}, {model}: {found['terms']} terms, {overall(found['test'])}", flush=True)


def overall(errors):
    return {key: value for key, value in errors.items() if key.endswith("_rmse")}


def table(results):
    """Rows of text by the keys of `COLUMNS`, and the numbers of the figure."""
    rows = []
    for name in DATA:
        found = results.get(name, {})
        for model in [*MODELS, *PEERS]:
            if model in found:
                label = peers.MODELS[model][0] if model in PEERS else f"plip, {model}"
                rows.append(row_of(name, label, found[model]))
        for label, terms, energy, force, source in PUBLISHED.get(name, []):
            errors = {"energy_rmse": energy, "force_rmse": force}
            rows.append(row_of(name, f"{label}, {source}", {"terms": terms, "test": errors}))
    return rows


def row_of(name, label, result):
    cv, test = result.get("cv", {}), result["test"]
    return {
        "data": name,
        "model": label,
        "terms": str(result["terms"]),
        "cv energy": number(cv.get("energy_rmse"), 1),
        "cv force": number(cv.get("force_rmse"), 3),
        "energy": number(test.get("energy_rmse"), 1),
        "force": number(test.get("force_rmse"), 3),
        "stress": number(test.get("stress_rmse"), 2),
        "cancellation": number(result.get("cancellation"), 1),
    }


def number(value, digits):
    return "" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def write_table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS.values())
        last = None
        for row in rows:
            # The name of the data stands beside the first of its rows.
            values = {**row, "data": "" if row["data"] == last else row["data"]}
            writer.writerow(values[key] for key in COLUMNS)
            last = row["data"]


def plot(path, rows):
    """Force error against the number of coefficients, one panel for each material."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["data"] for row in rows))
    styles = {}
    for k, label in enumerate(dict.fromkeys(row["model"] for row in rows)):
        marker = "o" if label.startswith("plip") else "sD^vP*X"[k % 7]
        styles[label] = {"marker": marker, "color": f"C{k % 10}", "mec": "k", "mew": 0.4, "ls": "none"}
    figure, axes = plt.subplots(2, 4, figsize=(11, 5.2), layout="constrained")
    for axis, name in zip(axes.flat, names, strict=False):
        for row in rows:
            if row["data"] == name:
                axis.plot(int(row["terms"]), float(row["force"]), **styles[row["model"]])
        axis.set(xscale="log", xlim=(14, 4000), title=name)
        axis.set_ylim(0, 1.08 * axis.get_ylim()[1])
        axis.set_xticks([20, 50, 100, 200, 500, 1000, 2000], ["20", "", "100", "", "500", "", "2000"])
        axis.minorticks_off()
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for label, style in styles.items():
        axes.flat[-1].plot([], [], label=label, **style)
    axes.flat[-1].legend(loc="center", frameon=False, fontsize=8)
    figure.supxlabel("terms or coefficients")
    figure.supylabel("force RMSE on test structures (eV/Å)")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="*", choices=DATA, default=list(DATA), metavar="NAME")
    known = [*MODELS, *PEERS]
    parser.add_argument("--models", nargs="*", choices=known, metavar="NAME", help=", ".join(known))
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="JSON")
    parser.add_argument("--doc", type=Path, default=DOC, help="folder of data/ and figures/")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds that a peer may take")
    options = parser.parse_args()
    models = options.models
    if models is None:
        models = [*MODELS, *(name for name in PEERS if not peers.missing(name))]
    results = json.loads(options.results.read_text()) if options.results.is_file() else {}
    warnings.simplefilter("ignore")
    complete(results, options.data, models, options.timeout, options.results)
    rows = table(results)
    write_table(options.doc / "data" / "accuracy.csv", rows)
    plot(options.doc / "figures" / "accuracy.png", rows)
    for row in rows:
        print(" ".join(f"{value:>12}" if key != "model" else f"{value:30}" for key, value in row.items()))


if __name__ == "__main__":
    main()
