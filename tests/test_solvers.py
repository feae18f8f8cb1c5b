"""Solvers on normal equations: optimality, invariance, agreement with scikit-learn, degenerate columns."""

import itertools
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Lasso, LassoLars
from threadpoolctl import threadpool_limits

from plip import PLIPRegressor, PLIPRegressorCV
from plip.solvers import (
    SOLVERS,
    LinearProblem,
    Path,
    PathError,
    _lasso,
    _paths,
    adaptive_lasso_path,
    lasso_lars_path,
    omp_path,
    refit,
    refit_path,
    replacement_path,
    residual_squares,
    ridge_elimination_path,
    ridge_path,
    solve,
)
from plip.solvers._selection import Replacement
from plip.solvers._tableau import Tableau

# The ridge that all solvers put on the scaled diagonal, documented in each of them.
RIDGE = 1e-8
# Share of the largest alpha within which the lasso promises its optimality conditions.
OPTIMALITY = 1e-9

selections = pytest.mark.parametrize("select", [omp_path, replacement_path])
lassos = pytest.mark.parametrize("lasso", [lasso_lars_path, adaptive_lasso_path])
every = pytest.mark.parametrize("solver", SOLVERS)


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    # As the estimators do: small matrices are slower, and bits less certain, on several threads.
    with threadpool_limits(1, user_api="blas"):
        yield


def make_problem(X, y, weights=None):
    weights = np.ones(len(y)) if weights is None else weights
    return LinearProblem(X.T @ (weights[:, None] * X), X.T @ (weights * y), weights @ y**2, weights.sum())


def random_problem(n_rows=60, n_columns=12, n_planted=4, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    # Columns of very different units, as descriptors have.
    X = rng.normal(size=(n_rows, n_columns)) * np.exp(3 * rng.normal(size=n_columns))
    w = np.zeros(n_columns)
    w[rng.choice(n_columns, n_planted, replace=False)] = rng.choice([-2.0, 1.0, 3.0], n_planted)
    w /= np.sqrt((X**2).mean(axis=0))
    return X, X @ w + noise * rng.normal(size=n_rows), w


def overlapping_gaussians(n_columns, width, seed=0):
    """Densely packed Gaussians: as nearly dependent as radial functions on a fine grid."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.0, 1.0, 2000)
    X = np.exp(-0.5 * ((x[:, None] - np.linspace(0, 1, n_columns)) * n_columns / width) ** 2)
    return X, np.sin(12 * x) + x**2 + 0.05 * rng.normal(size=len(x))


def nearly_dependent_problems():
    rng = np.random.default_rng(1)
    yield "gaussians", *overlapping_gaussians(150, 3.0)
    yield "dense gaussians", *overlapping_gaussians(150, 12.0)
    x = rng.uniform(0.0, 1.0, 500)
    yield "powers", x[:, None] ** np.arange(40), np.exp(x) + 0.01 * rng.normal(size=500)
    X, y = overlapping_gaussians(60, 2.0)
    yield "repeated", np.hstack([X, X[:, :30], -X[:, :10]]), y
    yield "almost repeated", np.hstack([X, X[:, :30] * (1 + 1e-6 * rng.normal(size=(len(y), 30)))]), y
    yield "sums", np.hstack([X, X[:, :30] - 2 * X[:, 30:], X[:, :30] + X[:, 30:]]), y
    X = rng.normal(size=(40, 120))
    yield "more columns than rows", X, X[:, :3].sum(axis=1) + 0.1 * rng.normal(size=40)
    yield "zeros and ones", (X > 0).astype(float), X[:, 0] + X[:, 1]


nearly_dependent = pytest.mark.parametrize(
    ("X", "y"), [pytest.param(X, y, id=name) for name, X, y in nearly_dependent_problems()]
)


def optimality_violation(problem, path, ridge=RIDGE, size=None):
    """Largest violation of the conditions of Tibshirani's lasso over a path, and the largest alpha."""
    scales = np.sqrt(np.diag(problem.gram) / problem.weight_sum)
    size = np.ones(len(scales)) if size is None else size
    scaled = path.coefs * scales
    gradient = (problem.moment - path.coefs @ problem.gram) / problem.weight_sum / scales - ridge * scaled
    gradient *= size
    limit = path.alphas[:, None]
    outside = (np.abs(gradient) - limit).max()
    inside = np.abs(gradient - limit * np.sign(scaled))[scaled != 0].max(initial=0.0)
    return max(outside, inside), np.abs(size * problem.moment / problem.weight_sum / scales).max()


# ---------------------------------------------------------------- lasso


@nearly_dependent
@pytest.mark.parametrize("alpha", [1e-3, 1e-6, 0.0])
def test_lasso_is_optimal_along_the_whole_path(X, y, alpha):
    problem = make_problem(X, y)
    path = lasso_lars_path(problem, alpha)
    violation, largest = optimality_violation(problem, path)
    assert violation <= OPTIMALITY * largest
    assert path.alphas[-1] == alpha
    assert (np.diff(path.alphas) < 0).all()


def test_lasso_reaches_alpha_beyond_500_steps():
    # scikit-learn's default max_iter ends the path after 500 knots without a word.
    X, y = overlapping_gaussians(200, 4.0)
    path = lasso_lars_path(make_problem(X, y), 1e-6)
    assert len(path) > 500
    assert path.alphas[-1] == 1e-6


@pytest.mark.parametrize("alpha", [0.3, 0.02, 1e-4])
def test_lasso_agrees_with_scikit_learn(alpha):
    X, y, _ = random_problem()
    X /= np.sqrt((X**2).mean(axis=0))
    coef = lasso_lars_path(make_problem(X, y), alpha).coefs[-1]
    # Tolerances: our ridge and perturbation, and how far coordinate descent is taken.
    assert_allclose(coef, LassoLars(alpha=alpha, fit_intercept=False).fit(X, y).coef_, atol=1e-7)
    assert_allclose(coef, Lasso(alpha=alpha, fit_intercept=False, tol=1e-14).fit(X, y).coef_, atol=1e-7)


def test_lasso_is_piecewise_linear_and_ends_between_knots():
    problem = make_problem(*random_problem()[:2])
    whole = lasso_lars_path(problem)
    alpha = 0.3 * whole.alphas[3] + 0.7 * whole.alphas[4]
    path = lasso_lars_path(problem, alpha)
    assert_array_equal(path.alphas[:-1], whole.alphas[:4])
    assert path.alphas[-1] == alpha
    between = 0.3 * whole.coefs[3] + 0.7 * whole.coefs[4]
    assert_allclose(path.coefs[-1], between, rtol=1e-9, atol=1e-12 * np.abs(between).max())


@lassos
def test_lasso_above_the_largest_alpha_is_empty(lasso):
    problem = make_problem(*random_problem()[:2])
    largest = lasso(problem).alphas[0]
    for factor in (1 + 1e-9, 2.0):
        path = lasso(problem, factor * largest)
        assert (len(path), path.alphas[0], path.n_terms[0]) == (1, factor * largest, 0)
        assert not path.coefs.any()
    assert lasso(problem, 0.999 * largest).n_terms[-1] == 1


def test_largest_alpha_of_lasso_is_the_largest_correlation():
    problem = make_problem(*random_problem()[:2])
    largest = np.abs(problem.moment / problem.scales).max() / problem.weight_sum
    assert lasso_lars_path(problem, largest).n_terms[-1] == 0
    assert lasso_lars_path(problem).alphas[0] == pytest.approx(largest, rel=OPTIMALITY)


@lassos
def test_lasso_recovers_planted_terms(lasso):
    X, y, w = random_problem(n_rows=300, n_columns=40, n_planted=5, noise=0.01)
    path = lasso(make_problem(X, y), 0.02)
    assert_array_equal(path.coefs[-1] != 0, w != 0)


def test_lasso_alpha_below_the_resolution_of_scikit_learn():
    # In units a million times smaller every alpha is below scikit-learn's absolute tolerance of 1e-7.
    X, y, _ = random_problem()
    one = lasso_lars_path(make_problem(X, y), 1e-3)
    small = lasso_lars_path(make_problem(X, 1e-6 * y), 1e-9)
    assert len(small) == len(one)
    assert_allclose(small.coefs, 1e-6 * one.coefs, rtol=1e-6, atol=1e-12 * np.abs(one.coefs).max())


def test_adaptive_lasso_weighs_by_a_ridge_solution():
    X, y, _ = random_problem()
    problem = make_problem(X, y)
    ridge = ridge_path(problem, [_paths._ADAPTIVE_RIDGE]).coefs[0] * problem.scales
    size = np.abs(ridge) / np.abs(ridge).mean()
    violation, largest = optimality_violation(problem, adaptive_lasso_path(problem, 1e-4), size=size)
    assert violation <= OPTIMALITY * largest


@nearly_dependent
def test_adaptive_lasso_reaches_alpha(X, y):
    path = adaptive_lasso_path(make_problem(X, y), 1e-7)
    assert path.alphas[-1] == 1e-7
    assert np.isfinite(path.coefs).all()


def test_lasso_fails_loudly_where_it_cannot_reach_alpha():
    X, y, _ = random_problem()
    problem = make_problem(X, y)
    # Not positive semidefinite by far: no data have such products.
    broken = problem.gram - 0.5 * np.diag(np.diag(problem.gram)) * np.eye(12)
    broken[0, 1] = broken[1, 0] = 2 * np.sqrt(broken[0, 0] * broken[1, 1])
    with pytest.raises(PathError, match="alpha = 0"):
        lasso_lars_path(LinearProblem(broken, problem.moment, problem.target_square, 60.0))


def test_lasso_is_checked(monkeypatch):
    knots = _lasso._lasso_knots

    def wrong(*arguments):
        alphas, coefs = knots(*arguments)
        return alphas, coefs * (1 + 1e-5)

    monkeypatch.setattr(_lasso, "_lasso_knots", wrong)
    with pytest.raises(PathError, match="could not be followed"):
        lasso_lars_path(make_problem(*random_problem()[:2]), 1e-3)


# ---------------------------------------------------------------- forward selection


def scaled_normal_equations(problem, ridge=RIDGE):
    scales = np.sqrt(np.diag(problem.gram) / problem.weight_sum)
    gram = problem.gram / np.outer(scales, scales) / problem.weight_sum
    return gram + ridge * np.eye(len(scales)), problem.moment / scales / problem.weight_sum


def explained(gram, moment, kept):
    """How much these columns lower the objective, twice."""
    kept = list(kept)
    return moment[kept] @ np.linalg.solve(gram[np.ix_(kept, kept)], moment[kept])


def brute_force_greedy(problem, n_terms):
    """Greedy choice by solving every candidate problem anew."""
    gram, moment = scaled_normal_equations(problem)
    chosen = []
    for _ in range(n_terms):
        gains = {k: explained(gram, moment, [*chosen, k]) for k in range(len(moment)) if k not in chosen}
        chosen.append(max(gains, key=gains.get))
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_omp_is_greedy(seed):
    X, y, _ = random_problem(seed=seed, noise=1.0)
    X[:, 3:6] += X[:, :3] * 5 * (X[:, 3:6].std(axis=0) / X[:, :3].std(axis=0))
    problem = make_problem(X, y)
    path = omp_path(problem)
    order = brute_force_greedy(problem, 12)
    assert_array_equal(path.n_terms, np.arange(13))
    for size in range(13):
        assert_array_equal(np.flatnonzero(path.coefs[size]), np.sort(order[:size]))


@selections
def test_selection_has_refit_coefficients(select):
    problem = make_problem(*overlapping_gaussians(100, 3.0))
    gram, moment = scaled_normal_equations(problem)
    for coef in select(problem).coefs[1:]:
        kept = np.flatnonzero(coef)
        expected = np.linalg.solve(gram[np.ix_(kept, kept)], moment[kept])
        # Rounding errors of 1e-16 grow with 1/ridge here and there.
        assert_allclose((coef * problem.scales)[kept], expected, atol=1e-6 * np.abs(expected).max())


@selections
def test_selection_recovers_planted_terms(select):
    X, y, w = random_problem(n_rows=300, n_columns=40, n_planted=5, noise=0.01)
    path = select(make_problem(X, y), 1e-5)
    assert_array_equal(path.coefs[-1] != 0, w != 0)
    assert_allclose(path.coefs[-1] * X.std(axis=0), w * X.std(axis=0), atol=0.01)


@selections
def test_selection_stops_by_gain(select):
    X, y, _ = random_problem(noise=1.0)
    problem = make_problem(X, y)
    whole = select(problem)
    assert (np.diff(whole.alphas) <= 0).all()
    for alpha in (1e-1, 1e-2, 1e-3):
        path = select(problem, alpha)
        assert path.alphas[-1] <= alpha < path.alphas[:-1].min(initial=np.inf)
        if select is omp_path:
            assert_array_equal(path.coefs, whole.coefs[: len(path)])
    # No column has this gain.
    assert_array_equal(select(problem, 1.0).n_terms, [0])


def test_omp_alphas_are_relative_gains():
    X, y, _ = random_problem(noise=1.0)
    problem = make_problem(X, y)
    path = omp_path(problem)
    gains = -np.diff(residual_squares(path.coefs, problem)) / problem.target_square
    # The ridge takes part in the gains.
    assert_allclose(path.alphas[:-1], np.minimum.accumulate(gains), atol=10 * RIDGE)


@nearly_dependent
@selections
def test_selection_survives_dependent_columns(X, y, select):
    problem = make_problem(X, y)
    path = select(problem, 1e-9)
    assert np.isfinite(path.coefs).all()
    squares = residual_squares(path.coefs, problem)
    objective = squares / problem.weight_sum + RIDGE * ((path.coefs * problem.scales) ** 2).sum(axis=1)
    assert (np.diff(objective) < 0).all()
    best = residual_squares(refit(problem, np.arange(X.shape[1])), problem)
    assert squares[-1] - best < 1e-5 * problem.target_square


@selections
def test_selection_leaves_repeated_columns_out(select):
    X, y, _ = random_problem()
    once = select(make_problem(X, y))
    twice = select(make_problem(np.hstack([X, 3 * X, -X[:, :4]]), y))
    assert_array_equal(twice.n_terms, once.n_terms)
    assert_allclose(twice.alphas, once.alphas, atol=10 * RIDGE)


def test_replacement_finds_the_best_pair_that_greed_misses():
    rng = np.random.default_rng(0)
    a, b, noise = rng.normal(size=(3, 200))
    # c looks best alone, but a and b together explain all.
    X = np.column_stack([a, b, a + b + 0.5 * noise])
    problem = make_problem(X, a + 1.1 * b)
    assert_array_equal(np.flatnonzero(omp_path(problem, max_terms=2).coefs[1]), [2])
    assert 2 in np.flatnonzero(omp_path(problem, max_terms=2).coefs[2])
    assert_array_equal(np.flatnonzero(replacement_path(problem, max_terms=2).coefs[2]), [0, 1])


@pytest.mark.parametrize("seed", range(5))
def test_replacement_ends_where_no_swap_pays(seed):
    X, y, _ = random_problem(n_columns=10, noise=2.0, seed=seed)
    X = np.cumsum(X / np.sqrt((X**2).mean(axis=0)), axis=1)
    problem = make_problem(X, y)
    path = replacement_path(problem, max_terms=4)
    for coef in path.coefs[2:]:
        kept = np.flatnonzero(coef)
        residual = residual_squares(coef, problem)
        for leave, enter in itertools.product(kept, np.flatnonzero(coef == 0)):
            swapped = refit(problem, [*kept[kept != leave], enter])
            # 1e-4 of the residual is what a swap must gain; the rest covers the ridge.
            assert residual_squares(swapped, problem) > (1 - 1.01e-4) * residual


@pytest.mark.parametrize("seed", range(5))
def test_replacement_is_better_than_greed_on_nearly_dependent_columns(seed):
    problem = make_problem(*overlapping_gaussians(80, 3.0, seed))
    sizes = np.arange(5, 40)
    greedy = residual_squares(omp_path(problem).at_sizes(sizes).coefs, problem)
    replaced = residual_squares(replacement_path(problem).at_sizes(sizes).coefs, problem)
    # Local optima may be worse at one size or another, but not over all.
    assert np.log(replaced / greedy).mean() < 0


def test_shrinking_again_finds_better_models_than_growing_alone(monkeypatch):
    problem = make_problem(*overlapping_gaussians(80, 3.0))
    both = replacement_path(problem, max_terms=30)
    monkeypatch.setattr(Replacement, "shrink", lambda self, models: None)
    growing = replacement_path(problem, max_terms=30)
    ratio = residual_squares(both.coefs, problem) / residual_squares(growing.coefs, problem)
    assert (ratio[:31] < 1 + 1e-9).all()
    assert ratio.min() < 0.99


def test_replacement_among_very_many_columns_uses_those_that_forward_selection_prefers():
    X, y = random_problem(n_rows=700, n_columns=500)[:2]
    problem = make_problem(X, y)
    path = replacement_path(problem, max_terms=12)
    greedy = omp_path(problem, max_terms=400)
    assert set(np.flatnonzero(path.coefs.any(axis=0))) <= set(np.flatnonzero(greedy.coefs[-1]))
    sizes = np.arange(1, 13)
    replaced = residual_squares(path.at_sizes(sizes).coefs, problem)
    assert (replaced <= residual_squares(greedy.at_sizes(sizes).coefs, problem) * (1 + 1e-9)).all()


def test_tableau_does_not_drift():
    gram, moment = scaled_normal_equations(make_problem(*overlapping_gaussians(60, 4.0)))
    tableau = Tableau(gram, moment)
    for k in np.random.default_rng(0).integers(60, size=2099):
        tableau.pivot(k)
    kept = np.flatnonzero(tableau.active)
    expected = np.linalg.solve(gram[np.ix_(kept, kept)], moment[kept])
    # Rounding errors of 1e-16 over the ridge, and some room for 2099 pivots.
    assert_allclose(tableau.solution()[kept], expected, atol=1e-6 * np.abs(expected).max())


# ---------------------------------------------------------------- ridge and refit


@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 1.0])
def test_ridge_is_the_closed_form(alpha):
    X, y, _ = random_problem()
    problem = make_problem(X, y)
    scales = np.sqrt((X**2).mean(axis=0))
    Z = X / scales
    expected = np.linalg.solve(Z.T @ Z / 60 + alpha * np.eye(12), Z.T @ y / 60) / scales
    assert_allclose(ridge_path(problem, [alpha]).coefs[0], expected, rtol=1e-9)
    assert_allclose(solve(problem, "ridge", alpha)[0], expected, rtol=1e-9)


def test_ridge_path_falls():
    problem = make_problem(*random_problem()[:2])
    path = ridge_path(problem, [1e-3, 10.0, 0.1])
    assert_array_equal(path.alphas, [10.0, 0.1, 1e-3])
    assert (np.diff(residual_squares(path.coefs, problem)) < 0).all()


def test_ridge_without_penalty_has_least_scaled_norm():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 50)), rng.normal(size=20)
    scales = np.sqrt((X**2).mean(axis=0))
    expected = np.linalg.pinv(X / scales) @ y / scales
    # The Gram matrix squares the condition of X, here below 100.
    assert_allclose(ridge_path(make_problem(X, y), [0.0]).coefs[0], expected, atol=1e-9)


def test_ridge_elimination_drops_the_least_term_each_time():
    X, y, _ = random_problem(noise=1.0)
    problem, alpha = make_problem(X, y), 1e-3
    path = ridge_elimination_path(problem, alpha, 12)
    assert_array_equal(path.n_terms, np.arange(13))
    assert_allclose(path.coefs[-1], ridge_path(problem, [alpha]).coefs[0], rtol=1e-9)

    gram, moment = scaled_normal_equations(problem, alpha)
    for size in range(12, 0, -1):
        kept = set(np.flatnonzero(path.coefs[size]).tolist())
        left = {k: explained(gram, moment, kept - {k}) if size > 1 else 0.0 for k in kept}
        assert set(np.flatnonzero(path.coefs[size - 1]).tolist()) == kept - {max(left, key=left.get)}


@pytest.mark.parametrize("support", [[7, 2, 3], np.isin(np.arange(12), [2, 3, 7])])
def test_refit_is_least_squares_on_the_support(support):
    X, y, _ = random_problem()
    coef = refit(make_problem(X, y), support)
    expected = np.zeros(12)
    expected[[2, 3, 7]] = np.linalg.lstsq(X[:, [2, 3, 7]], y, rcond=None)[0]
    assert_allclose(coef, expected, rtol=100 * RIDGE)


def test_refit_of_nothing_is_nothing():
    assert not refit(make_problem(*random_problem()[:2]), []).any()


def test_refit_path_in_any_order():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 150))
    problem = make_problem(X, rng.normal(size=400))
    path = omp_path(problem).at_sizes([150, 0, 149, 3])
    # Steps of any size, to the empty model and back, computed in different ways.
    assert_allclose(refit_path(problem, path).coefs, path.coefs, atol=1e-9)


def test_refit_of_repeated_columns_stays_bounded():
    X, y, _ = random_problem()
    single = refit(make_problem(X, y), np.arange(12))
    double = refit(make_problem(np.hstack([X, X]), y), np.arange(24))
    # The sum over both copies is known to the ridge, their shares to the ridge over rounding.
    assert_allclose(double[:12] + double[12:], single, rtol=1e-6)
    assert_allclose(double[:12], double[12:], rtol=1e-5)


# ---------------------------------------------------------------- what all solvers share


@every
def test_max_terms_is_never_exceeded_and_is_met(solver):
    X, y = overlapping_gaussians(60, 2.0)
    problem = make_problem(X, y)
    for max_terms in (0, 1, 7, 20):
        path = solve(problem, solver, 0.0, max_terms)[1]
        assert path.n_terms.max() == path.n_terms[-1] == max_terms
        assert_array_equal(path.n_terms, np.count_nonzero(path.coefs, axis=1))


@every
def test_rescaled_columns_change_nothing(solver):
    X, y, _ = random_problem()
    factors = 10.0 ** np.random.default_rng(0).integers(-8, 8, size=12)
    coef, path = solve(make_problem(X, y), solver, 1e-2, 6)
    rescaled, other = solve(make_problem(X * factors, y), solver, 1e-2, 6)
    assert_allclose(rescaled * factors, coef, rtol=1e-9)
    assert_array_equal(other.n_terms, path.n_terms)


@every
def test_repeated_rows_are_weights(solver):
    X, y, _ = random_problem()
    counts = np.random.default_rng(0).integers(0, 4, size=60)
    repeated = make_problem(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    weighted = make_problem(X, y, counts.astype(float))
    coef = solve(weighted, solver, 1e-2, 6)[0]
    assert_allclose(solve(repeated, solver, 1e-2, 6)[0], coef, rtol=1e-9)
    # A common factor of all weights cancels.
    many = make_problem(X, y, 1000.0 * counts)
    assert_allclose(solve(many, solver, 1e-2, 6)[0], coef, rtol=1e-9)


@every
def test_empty_columns_change_nothing(solver):
    X, y, _ = random_problem()
    padded = np.insert(X, [0, 4, 12], 0.0, axis=1)
    coef = solve(make_problem(padded, y), solver, 1e-2, 6)[0]
    assert not coef[[0, 5, 14]].any()
    assert_allclose(np.delete(coef, [0, 5, 14]), solve(make_problem(X, y), solver, 1e-2, 6)[0], rtol=1e-8)


@every
@pytest.mark.parametrize("alpha", [0.0, 1e-3])
def test_nothing_to_explain_or_nothing_to_explain_it_with(solver, alpha):
    X, y, _ = random_problem()
    assert not solve(make_problem(X, 0 * y), solver, alpha, 5)[0].any()
    assert not solve(make_problem(0 * X, y), solver, alpha, 5)[0].any()
    assert solve(make_problem(X[:, :0], y), solver, alpha, 5)[0].shape == (0,)


@every
@pytest.mark.parametrize("alpha", [0.0, 1e-6])
def test_exact_data_are_fitted_exactly(solver, alpha):
    X, _, w = random_problem(n_planted=12)
    problem = make_problem(X, X @ w)
    coef = solve(problem, solver, alpha)[0]
    # alpha shrinks, and below it the ridge does.
    assert_allclose(coef * problem.scales, w * problem.scales, atol=1e-4)


@every
def test_constant_columns_are_columns(solver):
    X, y, _ = random_problem()
    problem = make_problem(np.column_stack([X, np.ones(60), 2 * np.ones(60)]), y + 5)
    # The mean is found, be it in one of the columns or in both.
    coef = solve(problem, solver, 1e-7)[0]
    expected = np.linalg.lstsq(np.column_stack([X, np.ones(60)]), y + 5, rcond=None)[0][-1]
    assert coef[12] + 2 * coef[13] == pytest.approx(expected, rel=1e-4)


@every
def test_same_input_gives_the_same_bits(solver):
    problem = make_problem(*overlapping_gaussians(60, 3.0))
    first, second = (solve(problem, solver, 1e-4, 30)[1] for _ in range(2))
    assert_array_equal(first.coefs, second.coefs)
    assert_array_equal(first.alphas, second.alphas)


@every
def test_input_is_left_alone(solver):
    X, y, _ = random_problem()
    problem = make_problem(X, y)
    gram, moment = problem.gram.copy(), problem.moment.copy()
    solve(problem, solver, 1e-3, 5, refit=True)
    assert_array_equal(problem.gram, gram)
    assert_array_equal(problem.moment, moment)


@every
def test_refit_keeps_the_terms_and_lowers_the_residual(solver):
    problem = make_problem(*overlapping_gaussians(60, 3.0))
    coef, path = solve(problem, solver, 1e-3, 20)
    solved, refitted = solve(problem, solver, 1e-3, 20, refit=True)
    assert_array_equal(refitted.n_terms, path.n_terms)
    assert_array_equal(refitted.coefs != 0, path.coefs != 0)
    assert_array_equal(solved, refitted.coefs[-1])
    # Forward selection is refitted already, to rounding.
    before, after = (residual_squares(models.coefs, problem) for models in (path, refitted))
    assert (after <= before * (1 + 1e-9)).all()
    assert_allclose(solved * problem.scales, refit(problem, coef != 0) * problem.scales, atol=1e-8)


def test_coef_does_not_share_memory_with_the_path():
    coef, path = solve(make_problem(*random_problem()[:2]), "omp", 1e-3)
    coef[:] = 0.0
    assert path.coefs[-1].any()


# ---------------------------------------------------------------- paths and errors


def test_residual_squares_are_those_of_the_rows():
    X, y, _ = random_problem()
    weights = np.random.default_rng(0).uniform(size=60)
    problem = make_problem(X, y, weights)
    coefs = np.random.default_rng(1).normal(size=(3, 5, 12)) / problem.scales
    expected = (coefs @ X.T - y) ** 2 @ weights
    assert_allclose(residual_squares(coefs, problem), expected, rtol=1e-12)
    assert residual_squares(coefs[0, 0], problem).shape == ()


def test_residual_square_of_an_exact_model_is_not_negative():
    X, _, w = random_problem(n_planted=12)
    assert 0.0 <= residual_squares(w, make_problem(X, X @ w)) < 1e-12


@every
def test_path_at_sizes_is_where_a_path_with_that_max_terms_ends(solver):
    problem = make_problem(*overlapping_gaussians(40, 3.0))
    sizes = [3, 0, 12, 7]
    chosen = solve(problem, solver, 0.0)[1].at_sizes(sizes)
    for row, size in enumerate(sizes):
        path = solve(problem, solver, 0.0, size)[1]
        assert chosen.n_terms[row] == path.n_terms[-1] == size
        # Replacement looks beyond the size that is asked for, and how far changes what it finds.
        # Rounding errors of 1e-16 depend on the length of the path, and grow with the inverse of the ridge.
        if solver != "replacement":
            scale = np.abs(path.coefs[-1]).max()
            assert_allclose(chosen.coefs[row], path.coefs[-1], rtol=0, atol=1e-7 * scale)


def test_path_at_sizes_beyond_its_ends():
    path = Path(np.array([2.0, 1.0]), np.eye(3)[:2] + np.eye(3)[1:], np.array([2, 3]))
    assert_array_equal(path.at_sizes([7, 2]).alphas, [1.0, 2.0])
    with pytest.raises(ValueError, match="smallest model"):
        path.at_sizes([1])


@every
@pytest.mark.parametrize(
    ("alpha", "max_terms", "match"),
    [
        (-1.0, None, "alpha"),
        (np.nan, None, "alpha"),
        (np.inf, None, "alpha"),
        ("1", None, "alpha"),
        (0.0, -1, "max_terms"),
        (0.0, 2.5, "max_terms"),
    ],
)
def test_bad_parameters(solver, alpha, max_terms, match):
    with pytest.raises(ValueError, match=match):
        solve(make_problem(*random_problem()[:2]), solver, alpha, max_terms)


def test_unknown_solver():
    with pytest.raises(ValueError, match="lasso_lars, omp"):
        solve(make_problem(*random_problem()[:2]), "ols")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"gram": np.eye(3)}, "do not match"),
        ({"moment": np.full(12, np.nan)}, "NaN"),
        ({"target_square": np.inf}, "NaN"),
        ({"weight_sum": 0.0}, "weight_sum"),
    ],
)
def test_bad_problem(change, match):
    problem = make_problem(*random_problem()[:2])
    fields = {name: getattr(problem, name) for name in ("gram", "moment", "target_square", "weight_sum")}
    with pytest.raises(ValueError, match=match):
        LinearProblem(**{**fields, **change})


@pytest.mark.parametrize("described", [solve, PLIPRegressor, PLIPRegressorCV])
def test_docstrings_list_every_solver(described):
    (names,) = re.findall(r"solver : \{(.*?)\}", described.__doc__)
    assert {name.strip('"') for name in names.split(", ")} == set(SOLVERS)
