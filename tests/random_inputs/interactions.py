"""Random radial functions and interactions."""

import numpy as np


def random_functions(rng, cutoff, n):
    """Some radial functions of any family, positions within the cutoff."""
    from plip import radial

    def where():
        return float(rng.uniform(0.1, 1.1) * cutoff)

    choices = (
        lambda: radial.Gaussian(eta=float(rng.choice([1e-3, 0.3, 2.0, 30.0])), centers=where()),
        lambda: radial.Slater(powers=float(rng.choice([-1.0, 0.0, 1.5, 3.0])), zeta=float(rng.uniform(0, 3))),
        lambda: radial.GaussianType(powers=float(rng.choice([0.0, 2.0])), zeta=float(rng.uniform(0.01, 2))),
        lambda: radial.StillingerWeber(gamma=-float(rng.choice([0.1, 1.0, 5.0])), onset=where()),
        lambda: radial.Power(powers=float(rng.choice([-6.0, -2.0, 0.0, 1.0]))),
        lambda: radial.Lorentzian(centers=where(), exponents=int(rng.choice([2, 4, 8]))),
        lambda: radial.LogNormal(onsets=where(), scales=float(rng.uniform(0.3, 3))),
        lambda: radial.LennardJones(sigma=float(rng.uniform(0.5, 2.5))),
    )
    functions = {}
    for _ in range(n):
        function = choices[rng.integers(len(choices))]()
        functions[function.label()] = function
    return list(functions.values())


def random_interactions(rng, cutoff, n_species):
    """One to four interactions with few enough columns for so many species."""
    from plip.interactions import FourBody, NBody, ThreeBody, TwoBody

    def own():
        return None if rng.random() < 0.6 else float(cutoff * rng.uniform(0.4, 1.0))

    few = 1 if n_species > 2 else 2
    parts = {"two_body": None, "three_body": None, "n_body": None, "four_body": None}
    chosen = rng.random(4) < 0.5
    chosen[rng.integers(3)] = True
    if chosen[0]:
        parts["two_body"] = TwoBody(random_functions(rng, cutoff, int(rng.integers(1, 5))), own())
    if chosen[1]:
        parts["three_body"] = ThreeBody(
            random_functions(rng, cutoff, few),
            int(rng.integers(0, 3 if n_species > 2 else 8)),
            mixed=bool(rng.integers(2)),
            cutoff=own(),
        )
    if chosen[2]:
        powers = tuple(int(m) for m in rng.choice(np.arange(2, 9), int(rng.integers(1, 4)), replace=False))
        switch = None if rng.random() < 0.7 else {("Si", "O"): float(rng.uniform(1, 3))}
        parts["n_body"] = NBody(random_functions(rng, cutoff, few), powers, switch, own())
    if chosen[3] and n_species <= 2:
        ranks = {tuple(int(p) for p in rng.integers(0, 4, size=3)) for _ in range(2)}
        parts["four_body"] = FourBody(random_functions(rng, cutoff, 1), tuple(sorted(ranks)), own())
    return parts
