"""The picture of README.md and of the front page: accuracy, functions, and other packages.

python doc/figures/readme.py
"""

from pathlib import Path

import claims
import matplotlib.pyplot as plt

from plip import PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.inspection import PairDisplay, ParityDisplay

COLORS = {"plip": claims.BLUE, "pypolymlp": claims.ORANGE, "FitSNAP": claims.GREEN, "MTP": claims.GRAY}


def sizes_of(ax, material):
    """Force error on test structures against the number of coefficients, of one material in doc/data."""
    rows, name = [], None
    for row in claims.table("accuracy"):
        name = row["data"] or name
        if name == material:
            rows.append((row["model"].partition(",")[0], row["terms"], row["test eV/Å"]))
    for package, color in COLORS.items():
        x, y = zip(*((terms, error) for model, terms, error in rows if model == package), strict=True)
        ax.plot(x, y, "o", color=color, markersize=7, label=package)
    ax.set(xscale="log", xlabel="coefficients", ylabel="force error, test (eV/Å)", ylim=(0.0, 0.31))
    ax.set_xticks([20, 50, 100, 200, 500, 1000], ["20", "50", "100", "200", "500", "1000"])
    ax.minorticks_off()


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
    sizes_of(axes[2], "Mo")
    axes[2].set_title("Mo: error against the number of coefficients")
    axes[2].legend(frameon=False, fontsize="small", loc="lower right")
    figure.savefig(Path(__file__).resolve().parent / "readme.png", dpi=100)


if __name__ == "__main__":
    main()
