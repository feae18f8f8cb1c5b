"""Whether standard deviations and extrapolation grades keep what they promise.

    python benchmarks/uncertainty.py coverage SiC Si_train.xyz:Si_test.xyz Mo_train.xyz:Mo_test.xyz
    python benchmarks/uncertainty.py warning Si_train.xyz+Si_test.xyz:AIMD-NVT Ta.xyz:Liquid Ta.xyz:Surface

"coverage" fits to the first file of each pair and prints which share of the forces and energies of the
second one the 90 % intervals hold, of all and of the groups with 30 values or more; "SiC" is the data set of
`plip.datasets`. It adds the CPU time of the calibration over that of the rest of the fit, and the sizes of
the file of the potential with and without its uncertainty.

"warning" leaves one group of the files out of the fit, and prints how well grades tell which atoms of all
structures have large errors: the area under the ROC curve for errors of the force (norms) above three times
the root mean square of the fitted structures. 1 is perfect, 0.5 is chance. The second area is that of the
standard deviations of the forces.
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
from ase.io import read
from sklearn.metrics import roc_auc_score

from plip import PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.metrics import Evaluation
from plip.regressor import _model

# Shares of fewer values say little.
FEWEST = 30


def fit(structures):
    """Model with the default settings, CPU seconds of the calibration and of the rest."""
    seconds = []

    def timed(*arguments, **options):
        start = time.process_time()
        found = find_uncertainty(*arguments, **options)
        seconds.append(time.process_time() - start)
        return found

    find_uncertainty = _model.find_uncertainty
    with mock.patch.object(_model, "find_uncertainty", timed):
        start = time.process_time()
        model = PLIPRegressorCV().fit(structures)
        whole = time.process_time() - start
    return model, seconds[0], whole - seconds[0]


def file_sizes(potential):
    """Kilobytes of the file of a potential with and without its uncertainty."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        sizes = []
        for keep in (True, False):
            potential.save(path, uncertainty=keep)
            sizes.append(path.stat().st_size / 1e3)
    return sizes


def print_coverage(names):
    for name in names:
        if name == "SiC":
            train, test = load_silicon_carbide()
        else:
            train, test = (read(path, ":") for path in name.split(":"))
        model, calibration, rest = fit(train)
        evaluation = Evaluation(model.potential_, test)
        found, grades = evaluation.uncertainty(), Evaluation(model.potential_, train).uncertainty()
        large, small = file_sizes(model.potential_)
        print(
            f"{name}: {len(model.potential_.terms)} terms, forces {100 * found['force_coverage']:.1f} %, "
            f"energies {100 * found['energy_coverage']:.1f} %; largest grade "
            f"{found['largest_extrapolation']:.2f} (train {grades['largest_extrapolation']:.6f}); "
            f"{calibration:.2f} s over {rest:.2f} s ({100 * calibration / rest:.1f} %), "
            f"{large:.0f} kB instead of {small:.0f} kB"
        )
        for group in [] if evaluation.groups is None else np.unique(evaluation.groups).tolist():
            parts = evaluation.uncertainty(group)
            shown = [
                f"{target} {100 * parts[f'{target}_coverage']:.1f} % of {n:,}"
                for target in ("force", "energy")
                if (n := len(evaluation.std(target, group))) >= FEWEST
            ]
            print(f"    {group}: {', '.join(shown)}", flush=True)


def squares_of_errors(potential, structures):
    """Squared norms of the errors of forces, grades and deviations of all atoms."""
    evaluation = Evaluation(potential, structures)
    reference, predicted = evaluation.parity("force")
    errors = np.square(predicted - reference).reshape(-1, 3).sum(axis=1)
    return errors, np.concatenate(evaluation.deviations.extrapolation), evaluation.std("force")[::3]


def print_warning(names):
    for name in names:
        paths, _, group = name.rpartition(":")
        structures = [atoms for path in paths.split("+") for atoms in read(path, ":")]
        known = [atoms for atoms in structures if atoms.info["group"] != group]
        other = [atoms for atoms in structures if atoms.info["group"] == group]
        model, *_ = fit(known)
        fitted, unseen = (squares_of_errors(model.potential_, part) for part in (known, other))
        is_large = np.concatenate([fitted[0], unseen[0]]) > 9.0 * fitted[0].mean()
        of_grades, of_deviations = (
            roc_auc_score(is_large, np.concatenate([fitted[k], unseen[k]])) for k in (1, 2)
        )
        print(
            f"{name}: area {of_grades:.3f}, of deviations {of_deviations:.3f}; {len(unseen[0]):,} of "
            f"{len(is_large):,} atoms left out, {is_large.sum():,} large errors, "
            f"{is_large[len(fitted[0]) :].sum():,} of them there; grades there up to {unseen[1].max():.2f}, "
            f"{(unseen[1] > 1).sum():,} above 1",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=("coverage", "warning"))
    parser.add_argument("data", nargs="+")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    {"coverage": print_coverage, "warning": print_warning}[arguments.table](arguments.data)
