"""Sums over rows, their errors and bounds; loo() of fitted regressors."""

import warnings
from dataclasses import replace

import arviz
import numpy as np
import pytest
from scipy import stats

from skcocoafuse import LooResult, MoERegressor
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.evaluation import elpd
from skcocoafuse.exceptions import InfluentialRowsWarning
from skcocoafuse.inference import EngineResult
from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import mixture_of
from tests.conftest import fit_quietly
from tests.posterior.test_clusters import two_modes


@pytest.fixture(scope="module")
def fitted(once, switch):
    X, y = switch[:2]
    model = MoERegressor(draws=450, tune=300, chains=2, random_state=0)
    return once({"fit for elpd": lambda: model.fit(X, y)})["fit for elpd"]


def arviz_loo(model, **arguments):
    """ArviZ on the log likelihood of every draw, in units of the target."""
    problem, posterior = model.fitted_.problem, model.posterior_
    mixture = mixture_of(posterior.spec, posterior.parameters, problem.designs)
    seen = forward.log_density(forward.NUMPY, mixture, problem.y) - np.log(
        model.fitted_.target.scale
    )
    groups = {"posterior": {"sigma": posterior.parameters.sigma}, "log_likelihood": {"y": seen}}
    data = arviz.from_dict(groups) if _new_arviz() else arviz.from_dict(**groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return arviz.loo(data, pointwise=True, **arguments)


def _new_arviz():
    return not hasattr(arviz, "psislw")


def figures(result):
    """elpd, se, p_loo, pointwise, pareto_k, threshold, by the names of either ArviZ.

    ArviZ 1.x divides the variance in se by n - 1, but not in that of its compare.
    """
    names = ("elpd", "se", "p", "elpd_i") if _new_arviz() else ("elpd_loo", "se", "p_loo", "loo_i")
    found = [np.asarray(getattr(result, name)) for name in (*names, "pareto_k", "good_k")]
    if _new_arviz():
        found[1] = found[1] * np.sqrt(1.0 - 1.0 / found[3].size)
    return found


@pytest.mark.parametrize(("reff", "tolerance"), [(1.0, 1e-8), (None, 0.03)])
def test_is_that_of_arviz(fitted, reff, tolerance):
    """Which by default fits a longer tail where chains mix slowly."""
    result = fitted.loo()
    e, se, p_loo, pointwise, pareto_k, threshold = figures(arviz_loo(fitted, reff=reff))
    assert result.elpd == pytest.approx(float(e), abs=10 * tolerance)
    assert result.se == pytest.approx(float(se), abs=tolerance)
    assert result.p_loo == pytest.approx(float(p_loo), abs=10 * tolerance)
    np.testing.assert_allclose(result.pointwise, pointwise, atol=tolerance)
    np.testing.assert_allclose(result.pareto_k, pareto_k, atol=15 * tolerance)
    assert result.k_threshold == pytest.approx(float(threshold))


def test_is_what_unseen_data_say(fitted, switch):
    X, y, X_test, y_test, _ = switch
    result = fitted.loo()
    unseen = fitted.log_prob(X_test, y_test)
    error = np.hypot(result.se / 300, unseen.std() / np.sqrt(len(unseen)))
    assert result.elpd / 300 == pytest.approx(unseen.mean(), abs=3 * error)
    assert 4 < result.p_loo < 12  # there are 4 of the lines, 2 sigmas, 2 of the gate
    np.testing.assert_allclose(result.in_sample, fitted.log_prob(X, y))
    assert result.converged


def test_probabilities_are_uniform(fitted):
    assert stats.kstest(fitted.loo().pit, "uniform").pvalue > 0.01


def test_units_of_the_target(transition):
    X, y = transition[:2]
    one, other = (
        MoERegressor(1, inference="vi", draws=100, random_state=0).fit(X, target)
        for target in (y, 7.0 - 1000.0 * y)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InfluentialRowsWarning)
        first, second = one.loo(), other.loo()
    np.testing.assert_allclose(second.y, 7.0 - 1000.0 * y)
    assert second.elpd + 300 * np.log(1000.0) == pytest.approx(first.elpd, abs=2.0)


def test_fewer_draws_on_request(fitted):
    result = fitted.loo(max_draws=400)
    assert result.n_draws == 400
    assert result.elpd == pytest.approx(fitted.loo().elpd, abs=2.0)
    for bad in (24, 100.0, "all"):
        with pytest.raises(ValueError, match=r"max_draws must be .* at least 25.*got"):
            fitted.loo(max_draws=bad)


def test_a_single_draw_is_not_enough(map_fit):
    with pytest.raises(ValueError, match=r"more than one; got 1.*'map'.*inference='nuts'"):
        map_fit.loo()


def test_draws_of_a_poor_approximation_are_refused(monkeypatch, fitted):
    found = {**fitted.diagnostics_, "pareto_k": 0.75}
    monkeypatch.setattr(fitted, "diagnostics_", found)
    with pytest.raises(ValueError, match=r"needs draws from the posterior.*k-hat 0.75.*'nuts'"):
        fitted.loo()


def test_clusters_enter_by_their_weights(monkeypatch):
    X = np.random.default_rng(1).normal(size=(60, 1))
    y = np.random.default_rng(2).normal(size=60) + 0.3

    def engine(problem, settings):
        theta = two_modes(problem)
        return EngineResult(theta, Kernel(problem).log_posterior(theta))

    monkeypatch.setattr("skcocoafuse.evaluation.learning.get_engine", lambda name: engine)
    model = fit_quietly(MoERegressor(1, random_state=0), X, y)
    result = model.loo()
    assert not result.converged
    np.testing.assert_allclose(result.in_sample, model.log_prob(X, y))
    assert result.k_threshold == pytest.approx(1 - 1 / np.log10(400))
    best = model.diagnostics_["cluster_elpd"].max()
    # stacking maximises elpd and a row for each cluster; so it beats 61 of 62 rows for the best
    weight = model.diagnostics_["cluster_weight"]
    most = best + 61 * np.log(61 / 62) + np.log(1 / 62)
    assert result.elpd + np.log(weight).sum() >= most - 1e-6


# -- sums, bounds, warnings --------------------------------------------------------------------


def result_of(pointwise, weight=None, **changes) -> LooResult:
    pointwise = np.asarray(pointwise, dtype=float)
    n = len(pointwise)
    arguments = {
        "pointwise": pointwise,
        "in_sample": pointwise + 0.1,
        "pareto_k": np.zeros(n),
        "pit": np.full(n, 0.5),
        "y": np.arange(n, dtype=float),
        "weight": np.ones(n) if weight is None else np.asarray(weight, dtype=float),
        "refitted": np.zeros(n, dtype=bool),
        "n_draws": 1000,
        "k_threshold": 0.66,
        "converged": True,
    }
    return LooResult(**{**arguments, **changes})


def test_weights_are_numbers_of_equal_rows():
    values, weight = np.random.default_rng(0).normal(size=6), np.array([0, 1, 2, 3, 1, 0])
    weighted, repeated = result_of(values, weight), result_of(np.repeat(values, weight))
    assert weighted.elpd == pytest.approx(np.repeat(values, weight).sum())
    assert weighted.se == pytest.approx(np.sqrt(7 * np.repeat(values, weight).var()))
    assert weighted.se == pytest.approx(repeated.se)
    assert weighted.p_loo == pytest.approx(0.7)
    assert (weighted.n_rows, repeated.n_rows) == (4, 7)


def test_lower_bounds_by_hand():
    result = result_of([-1.0, -2.0, -3.0, -2.0])
    assert (result.elpd, result.se) == (-8.0, pytest.approx(np.sqrt(2.0)))
    assert result.lower_bound(0.75) == pytest.approx(-8.0 - 2.0 * np.sqrt(2.0))
    assert result.lower_bound(0.8, kind="cantelli") == pytest.approx(-8.0 - 2.0 * np.sqrt(2.0))
    assert result.lower_bound(0.5, kind="normal") == pytest.approx(-8.0)
    levels = [0.05, 0.5, 0.9, 0.95, 0.999]
    normal = stats.norm(result.elpd, result.se).isf(levels)
    np.testing.assert_allclose(result.lower_bound(levels, kind="normal"), normal)
    chebyshev, cantelli = (result.lower_bound(levels, kind=k) for k in ("chebyshev", "cantelli"))
    assert (chebyshev < cantelli).all()
    assert (cantelli < normal).all()
    assert (np.diff(chebyshev) < 0).all()


@pytest.mark.parametrize("kind", ["chebyshev", "cantelli", "normal"])
def test_bounds_hold_for_means_of_skewed_numbers(kind):
    """One-sided coverage of sums of 400 log densities of Normal data."""
    rng = np.random.default_rng(0)
    values = stats.norm.logpdf(rng.normal(size=(2000, 400)))
    truth = 400 * -stats.norm.entropy()
    estimate, error = values.sum(axis=1), np.sqrt(400 * values.var(axis=1))
    covered = np.mean(elpd.lower_bound(estimate, error, 0.9, kind) < truth)
    assert covered >= 0.9 - 3 * np.sqrt(0.09 / 2000) - (0.02 if kind == "normal" else 0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.9, "hoeffding"), r"kind must be one of \['chebyshev'.*got 'hoeffding'"),
        ((1.0,), r"confidence must be .* strictly between 0 and 1; got 1.0"),
        ((0.0,), r"strictly between 0 and 1; got 0.0"),
    ],
)
def test_bad_bounds(arguments, message):
    with pytest.raises(ValueError, match=message):
        result_of([1.0, 2.0]).lower_bound(*arguments)


def test_bad_rows_are_named_once():
    k = np.array([0.1, 0.9, 0.7, np.inf, 0.65, 3.0])
    result = result_of(np.zeros(6), [1, 1, 1, 1, 1, 0], pareto_k=k)
    assert result.bad_rows.tolist() == [1, 2, 3]
    assert repr(result) == (
        "LooResult(elpd=0.0, se=0.0, p_loo=0.5; 5 rows, 1000 draws, 3 bad Pareto k, 0 refitted)"
    )
    message = r"3 of 5 rows are unreliable.*above 0.66 \(largest: inf; rows 3, 1, 2\).*reloo=True"
    with pytest.warns(InfluentialRowsWarning, match=message) as seen:
        elpd.warn(result, stacklevel=2)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        elpd.warn(replace(result, pareto_k=np.zeros(6)), stacklevel=2)


def test_few_bad_rows_are_left_to_the_result():
    """Below one in a hundred they are listed there; from then on there is a warning."""
    few = np.zeros(500)
    few[[3, 70, 200, 499]] = 0.9
    result = result_of(np.zeros(500), np.ones(500), pareto_k=few)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        elpd.warn(result, stacklevel=2)
    assert result.bad_rows.tolist() == [3, 70, 200, 499]
    assert "4 bad Pareto k" in repr(result)
    few[0] = 0.9
    with pytest.warns(InfluentialRowsWarning, match="5 of 500 rows"):
        elpd.warn(replace(result, pareto_k=few), stacklevel=2)
    weight = np.r_[np.ones(300), np.zeros(200)]  # rows without weight count nowhere
    with pytest.warns(InfluentialRowsWarning, match="4 of 300 rows"):
        elpd.warn(replace(result, pareto_k=few, weight=weight), stacklevel=2)


def test_a_k_hat_above_the_threshold_is_said_to_be_above():
    result = result_of(np.zeros(3), np.ones(3), pareto_k=np.array([0.1, 0.66701, 0.2]))
    with pytest.warns(InfluentialRowsWarning, match=r"above 0\.667 .largest: 0\.67;"):
        elpd.warn(replace(result, k_threshold=0.667), stacklevel=2)
