"""The pictures of doc/accuracy.rst and doc/performance.rst, from the tables in doc/data.

python doc/figures/claims.py
"""

import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "data"
BLUE, ORANGE, GRAY, GREEN = "#0072B2", "#D55E00", "#999999", "#009E73"
PURPLE, SKY = "#CC79A7", "#56B4E9"
COLORS = {"plip": BLUE, "FastPOD": PURPLE, "pypolymlp": ORANGE, "FitSNAP": GREEN, "UF3": GRAY}


def table(name):
    """The rows of a table as dicts, numbers as floats."""
    with open(DATA / f"{name}.csv", encoding="utf-8", newline="") as file:
        return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


def peers_of(ax, name):
    """Force error on test structures against the time of the fit."""
    for package, color in COLORS.items():
        rows = [row for row in table(name) if row["model"].replace(",", " ").split()[0] == package]
        x, y = [row["CPU s"] for row in rows], [row["test, eV/Å"] for row in rows]
        if rows:
            ax.plot(x, y, "o", color=color, markersize=7, label=package)
    ax.set(xscale="log", xlabel="CPU time of the fit (s)", ylim=(0.0, 0.31), xlim=(0.3, 900))
    ax.set_xticks([1, 10, 100], ["1", "10", "100"])


def peers(axes):
    for ax, name, title in zip(axes, ("peers_mo", "peers_si"), ("molybdenum", "silicon"), strict=True):
        peers_of(ax, name)
        ax.set_title(title)
    axes[0].set_ylabel("force error, test (eV/Å)")
    axes[0].legend(frameon=False, fontsize="small", loc="lower right")


def cancellation(ax):
    rows = [row for row in table("cancellation") if row["terms"] in (25, 120)]
    places = np.arange(len(rows))
    ax.bar(
        places - 0.2, [row["cancellation, no penalty"] for row in rows], 0.4, color=GRAY, label="no penalty"
    )
    ax.bar(
        places + 0.2, [row["cancellation, penalty"] for row in rows], 0.4, color=BLUE, label="penalty 1e-4"
    )
    ax.set_xticks(places, [f"{row['data']}\n{row['terms']:.0f} terms" for row in rows], fontsize="small")
    ax.set(yscale="log", ylabel="cancellation of the terms", ylim=(1.0, None))
    ax.legend(frameon=False, fontsize="small", loc="upper left")


def mixtures(ax):
    rows = table("mixtures")
    places = np.arange(len(rows))
    for offset, key, color in ((-0.2, "nothing shared (meV/atom)", GRAY), (0.2, "shared (meV/atom)", BLUE)):
        bars = ax.bar(
            places + offset, [row[key] for row in rows], 0.4, color=color, label=key.partition(" (")[0]
        )
        ax.bar_label(bars, fmt="{:,g}", fontsize="small")
    ax.set_xticks(places, [row["left out"] for row in rows])
    ax.set(yscale="log", ylabel="energy error (meV/atom)", ylim=(1.0, 2e4))
    ax.legend(frameon=False, fontsize="small", loc="upper right")


def coverage(ax):
    rows = table("coverage")
    places = np.arange(len(rows))
    for offset, key, color in ((-0.2, "forces", BLUE), (0.2, "energies", GREEN)):
        ax.bar(places + offset, [row[f"{key} within 90 % (%)"] for row in rows], 0.4, color=color, label=key)
    ax.axhline(90.0, color="black", linewidth=1.0, linestyle="--")
    ax.set_xticks(places, [row["data"] for row in rows])
    ax.set(ylabel="test errors within\n90 % intervals (%)", ylim=(50.0, 112.0))
    ax.legend(frameon=False, fontsize="small", ncols=2, loc="upper right")


TIME = "LAMMPS, skin 2.0 (µs per atom and step)"
FORCE = "test, eV/Å"
OFFERS = {"plip, two- and N-body": SKY, "plip, fast": GREEN, "plip, accurate": BLUE}


def sizes_of(ax, rows, color, label):
    """A line of potentials of one offer, with the numbers of terms at its ends."""
    ax.plot([row[TIME] for row in rows], [row[FORCE] for row in rows], "o-", color=color, label=label)
    for row, place in ((rows[0], (-12, -4)), (rows[-1], (0, -15))):
        point = row[TIME], row[FORCE]
        ax.annotate(f"{row['terms']:.0f}", point, place, textcoords="offset points", ha="center", color=color)


def speed(ax):
    """Force error on test structures against the time of a step, for potentials of any size."""
    rows = [row for row in table("speed") if row[TIME] != ""]
    for offer, color in OFFERS.items():
        if own := [row for row in rows if row["potential"] == offer]:
            sizes_of(ax, own, color, offer)
    for row in rows:
        name = row["potential"]
        if row[FORCE] == "":
            ax.axvline(row[TIME], color=GRAY, linestyle="--", linewidth=1.0)
            at_top = {"transform": ax.get_xaxis_transform(), "va": "top", "rotation": 90}
            ax.text(row[TIME], 0.99, f" {name.partition(',')[0]}", color=GRAY, fontsize="small", **at_top)
        elif name not in OFFERS:
            point = row[TIME], row[FORCE]
            ax.plot(*point, "s", color=ORANGE)
            ax.annotate(
                name, point, (0, 8), textcoords="offset points", ha="center", fontsize="small", color=ORANGE
            )
    ax.set(xscale="log", xlabel="CPU time of a step (µs per atom)", ylabel="force error, test (eV/Å)")
    ax.margins(0.1, 0.15)
    ax.set_xticks([1, 10, 100], ["1", "10", "100"])
    ax.legend(frameon=False, fontsize="small", loc="upper right")


def save(name, draw, size, n_axes=1):
    figure, axes = plt.subplots(1, n_axes, figsize=size, layout="constrained", sharey=n_axes > 1)
    draw(axes)
    figure.savefig(HERE / f"claim_{name}.png", dpi=90)
    plt.close(figure)


def main():
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    save("peers", peers, (7.6, 3.1), 2)
    save("cancellation", cancellation, (7.0, 3.0))
    save("mixtures", mixtures, (5.0, 3.0))
    save("coverage", coverage, (5.0, 3.0))
    save("speed", speed, (7.0, 3.6))


if __name__ == "__main__":
    main()
