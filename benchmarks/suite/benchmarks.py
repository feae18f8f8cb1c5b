"""Descriptors, normal equations, solvers, fit, evaluation and accuracy on the data that ship with plip.

Also on ``Si_train.xyz`` and ``Si_test.xyz``, if the environment variable PLIP_TEST_DATA names their folder;
the accuracy then on molybdenum and its alloys, too.
"""

import os
import time
import warnings
from pathlib import Path

import ase.io
import numpy as np

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, PLIPRegressorCV
from plip.cli._commands import PURPOSES
from plip.datasets import load_silicon_carbide
from plip.interactions import FourBody, NBody, ThreeBody, TwoBody
from plip.metrics import cancellation, error_summary
from plip.radial import Gaussian
from plip.solvers import SOLVERS

DATA = ["SiC", "Si"] if "PLIP_TEST_DATA" in os.environ else ["SiC"]
# Published train and test files; `benchmarks/accuracy.py` has more materials and the peers.
MATERIALS = [*DATA, "Mo", "MoNb", "MoNbTa"] if "PLIP_TEST_DATA" in os.environ else DATA
MODELS = {
    "default": PLIPDescriptors(),
    "unmixed": PLIPDescriptors(
        two_body=TwoBody(Gaussian(centers=10)),
        three_body=ThreeBody(Gaussian(centers=10)),
        n_body=NBody(Gaussian(centers=10), powers=(2, 3)),
    ),
    "four-body": PLIPDescriptors(
        two_body=TwoBody(Gaussian(centers=12)),
        three_body=ThreeBody(Gaussian(centers=5), mixed=True),
        n_body=NBody(Gaussian(centers=12), powers=(2, 3, 4)),
        four_body=FourBody(Gaussian(centers=2)),
    ),
}


def load(data):
    if data == "SiC":
        return load_silicon_carbide()
    folder = Path(os.environ["PLIP_TEST_DATA"])
    return [ase.io.read(folder / f"{data}_{part}.xyz", ":") for part in ("train", "test")]


class Case:
    """One data set and one model."""

    params = (DATA, list(MODELS))
    param_names = ("data", "model")

    def setup(self, data, model):
        self.train, self.test = load(data)
        self.descriptors = MODELS[model]
        self.fitted = PLIPDescriptors(**self.descriptors.get_params(deep=False)).fit(self.train)


class Descriptors(Case):
    def time_fit(self, data, model):
        PLIPDescriptors(**self.descriptors.get_params(deep=False)).fit(self.train)

    def time_transform(self, data, model):
        self.fitted.transform(self.train)

    def track_columns(self, data, model):
        return len(self.fitted.terms_)


class Accumulate(Case):
    """Normal equations."""

    def time_from_structures(self, data, model):
        NormalEquations.from_structures(self.train, self.fitted)

    def time_from_structures_two_workers(self, data, model):
        NormalEquations.from_structures(self.train, self.fitted, n_jobs=2)

    def peakmem_from_structures(self, data, model):
        NormalEquations.from_structures(self.train, self.fitted)

    def peakmem_from_stream_of_ten_times_the_data(self, data, model):
        NormalEquations.from_structures((atoms for _ in range(10) for atoms in self.train), self.fitted)


class Solve:
    params = (DATA, list(SOLVERS))
    param_names = ("data", "solver")

    def setup(self, data, solver):
        self.train, self.test = load(data)
        self.equations = NormalEquations.from_structures(self.train, MODELS["default"])
        self.model = PLIPRegressor(solver=solver)
        # A path that stops at max_terms warns that it did not reach alpha.
        warnings.simplefilter("ignore")

    def time_solve(self, data, solver):
        self.model.fit_normal_equations(self.equations)

    def track_terms(self, data, solver):
        return self.model.fit_normal_equations(self.equations).n_terms_

    def track_test_force_error(self, data, solver):
        """eV/A, root mean square."""
        return force_error(self.model.fit_normal_equations(self.equations).potential_, self.test)


class Fit(Case):
    def time_fit(self, data, model):
        PLIPRegressor(self.descriptors).fit(self.train)

    def peakmem_fit(self, data, model):
        PLIPRegressor(self.descriptors).fit(self.train)


class Evaluate(Case):
    def setup(self, data, model):
        super().setup(data, model)
        self.potential = PLIPRegressor(self.descriptors).fit(self.train).potential_

    def time_energy_forces_and_stress(self, data, model):
        for atoms in self.test:
            self.potential.evaluate(atoms)

    def peakmem_energy_forces_and_stress(self, data, model):
        for atoms in self.test:
            self.potential.evaluate(atoms)

    def track_test_force_error(self, data, model):
        """eV/A, root mean square."""
        return force_error(self.potential, self.test)

    def track_test_energy_error(self, data, model):
        """meV/atom, root mean square."""
        differences = [
            (self.potential.energy(atoms) - atoms.get_potential_energy()) / len(atoms) for atoms in self.test
        ]
        return 1000 * float(np.sqrt(np.mean(np.square(differences))))


class Accuracy:
    """Test errors of ``plip fit`` with each target, sizes chosen by cross-validation, beside its CPU time."""

    params = (MATERIALS, list(PURPOSES))
    param_names = ("data", "target")
    # Seconds; all fits are made at once.
    timeout = 1800

    def setup_cache(self):
        warnings.simplefilter("ignore")
        return {(data, target): fit_target(data, target) for data in MATERIALS for target in PURPOSES}

    def track_terms(self, found, data, target):
        return found[data, target]["terms"]

    def track_cancellation(self, found, data, target):
        """Median over the training structures."""
        return found[data, target]["cancellation"]

    def track_test_energy_error(self, found, data, target):
        """meV/atom, root mean square."""
        return found[data, target]["energy_rmse"]

    def track_test_force_error(self, found, data, target):
        """eV/A, root mean square."""
        return found[data, target]["force_rmse"]

    def track_test_stress_error(self, found, data, target):
        """GPa, root mean square."""
        return found[data, target]["stress_rmse"]

    def track_fit_time(self, found, data, target):
        """CPU seconds with cross-validation and calibration."""
        return found[data, target]["seconds"]


def fit_target(data, target):
    """Errors on test structures, terms, cancellation and CPU seconds of ``plip fit``."""
    train, test = load(data)
    settings = {"preset": "accurate", **PURPOSES[target]}
    descriptors = PLIPDescriptors.preset(settings.pop("preset"))
    start = time.process_time()
    model = PLIPRegressorCV(descriptors, **settings).fit(train)
    seconds = time.process_time() - start
    return error_summary(model, test) | {
        "terms": model.n_terms_,
        "cancellation": float(np.median(cancellation(model.potential_, train))),
        "seconds": seconds,
    }


def force_error(potential, structures):
    differences = [potential.forces(atoms) - atoms.get_forces(apply_constraint=False) for atoms in structures]
    return float(np.sqrt(np.mean(np.square(np.concatenate(differences)))))


Solve.track_test_force_error.unit = Evaluate.track_test_force_error.unit = "eV/A"
Evaluate.track_test_energy_error.unit = Accuracy.track_test_energy_error.unit = "meV/atom"
Accuracy.track_test_force_error.unit = "eV/A"
Accuracy.track_test_stress_error.unit = "GPa"
Accuracy.track_fit_time.unit = "s"
