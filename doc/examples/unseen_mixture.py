"""
Leave an alloy out of published data
====================================

The measurement of :doc:`/alloys`. It needs the data of Mo, Nb and Ta and does not run here::

    python unseen_mixture.py MoNbTa_train.xyz Nb Ta --terms 100 127 300

All structures that hold both elements are left out of the fit, and a fifth of all other structures. It
prints the root mean square errors of elements, of the other alloys and of the one that was left out, with
terms that species share and without.
"""

import argparse
import warnings

import numpy as np
from ase.io import read
from sklearn.model_selection import train_test_split

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor
from plip.metrics import neg_energy_rmse, neg_force_rmse
from plip.model_selection import composition_groups


def errors(model, structures):
    """meV/atom; eV/Angstrom."""
    return f"{-1000 * neg_energy_rmse(model, structures):7.1f}; {-neg_force_rmse(model, structures):.3f}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    parser.add_argument("elements", nargs=2)
    parser.add_argument("--terms", nargs="+", type=int, default=[100, 127, 300])
    arguments = parser.parse_args()
    structures = read(arguments.file, ":")
    is_left_out = np.array([set(arguments.elements) <= set(atoms.symbols) for atoms in structures])
    left_out = [atoms for atoms, out in zip(structures, is_left_out, strict=True) if out]
    others = [atoms for atoms, out in zip(structures, is_left_out, strict=True) if not out]
    train, rest = train_test_split(others, test_size=0.2, random_state=0, stratify=composition_groups(others))
    sets = {
        "elements": [atoms for atoms in rest if len(set(atoms.symbols)) == 1],
        "other alloys": [atoms for atoms in rest if len(set(atoms.symbols)) > 1],
        f"{'-'.join(arguments.elements)}, left out": left_out,
    }
    warnings.simplefilter("ignore", UserWarning)
    print("terms " + "".join(f"{name:>22}" for name in sets))
    for shared in ("auto", False):
        descriptors = PLIPDescriptors.preset("accurate", shared=shared)
        equations = NormalEquations.from_structures(train, descriptors)
        for size in arguments.terms:
            model = PLIPRegressor(max_terms=size).fit_normal_equations(equations)
            line = "".join(f"{errors(model, part):>22}" for part in sets.values())
            print(f"{size:>5} {line}" + ("" if shared else "   not shared"), flush=True)


if __name__ == "__main__":
    main()
