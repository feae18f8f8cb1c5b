"""The picture of README.md and of the front page: accuracy, functions, and the time of a fit.

python doc/figures/readme.py
"""

from pathlib import Path

import claims
import matplotlib.pyplot as plt

from plip import PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.inspection import PairDisplay, ParityDisplay


def main():
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9})
    train, test = load_silicon_carbide()
    model = PLIPRegressorCV().fit(train)
    figure, axes = plt.subplots(1, 3, figsize=(11.4, 3.5), layout="constrained", width_ratios=[1, 1.1, 1.1])
    parity = ParityDisplay.from_estimator(model, test, target="force", ax=axes[0])
    if parity.ax_.get_legend():
        parity.ax_.get_legend().remove()
    axes[0].set_title(f"SiC: {model.n_terms_} terms, forces of the test set")
    PairDisplay.from_estimator(model, ax=axes[1])
    axes[1].set_title("what two atoms do to each other")
    claims.peers_of(axes[2], "peers_mo")
    axes[2].set(title="Mo: error against the time of the fit", ylabel="force error, test (eV/Å)")
    axes[2].legend(frameon=False, fontsize="small", loc="lower right")
    figure.savefig(Path(__file__).resolve().parent / "readme.png", dpi=100)


if __name__ == "__main__":
    main()
