"""Draw the figures of the paper.

    python doc/paper/figures.py

`accuracy.png` shows the results of `benchmarks/accuracy.py`, `silicon_carbide.png` a fit to the data set that
comes with the package.
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt

from plip import PLIPRegressorCV
from plip.datasets import load_silicon_carbide
from plip.inspection import PairDisplay, ParityDisplay, PathDisplay

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "benchmarks"))

import accuracy as protocol  # noqa: E402 - a script of the benchmarks


def silicon_carbide(path):
    """How the size is chosen, what the pairs are, and errors on the test structures."""
    train, test = load_silicon_carbide()
    model = PLIPRegressorCV().fit(train)
    figure, axes = plt.subplots(1, 3, figsize=(12.0, 3.6), width_ratios=(1.0, 1.5, 1.0), layout="constrained")
    PathDisplay.from_estimator(model, quantity="force", ax=axes[0])
    PairDisplay.from_estimator(model, ax=axes[1])
    ParityDisplay.from_estimator(model, test, ax=axes[2], target="force")
    # The groups of structures have errors of their own, which the text does not discuss.
    axes[2].get_legend().remove()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main():
    plt.switch_backend("Agg")
    results = json.loads(protocol.RESULTS.read_text())
    protocol.plot(HERE / "accuracy.png", protocol.table(results))
    silicon_carbide(HERE / "silicon_carbide.png")


if __name__ == "__main__":
    main()
