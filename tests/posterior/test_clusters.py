"""Clusters of chains: found, weighted, used in predictions."""

import numpy as np
import pytest
from scipy import optimize

from skcocoafuse import MoERegressor
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.evaluation.stacking import stacking_weights, weigh_clusters
from skcocoafuse.exceptions import SeparateModesWarning
from skcocoafuse.inference import EngineResult
from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.posterior.clusters import find_clusters, invariants, predictive_error
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.fit import checked_designs
from skcocoafuse.posterior.monte_carlo import rhat
from tests.problems import make_problem


def chains_around(centres, n_draws=300, seed=0):
    noise = np.random.default_rng(seed).normal(size=(len(centres), n_draws, 3))
    return noise + np.asarray(centres, dtype=float)[:, None, None]


@pytest.mark.parametrize(
    ("centres", "expected"),
    [
        ([0, 0, 0, 0], [[0, 1, 2, 3]]),
        ([0, 9, 0, 9], [[0, 2], [1, 3]]),
        ([0, 0, 0, 9], [[0, 1, 2], [3]]),
        ([0, 9, 18], [[0], [1], [2]]),
        ([7], [[0]]),
    ],
)
def test_clusters_are_the_chains_that_agree(centres, expected):
    assert find_clusters(chains_around(centres)) == expected


def test_short_chains_and_single_draws_are_one_cluster():
    assert find_clusters(chains_around([0, 9], n_draws=50)) == [[0, 1]]
    assert find_clusters(chains_around([0, 9], n_draws=1)) == [[0, 1]]


def test_one_quantity_that_disagrees_is_enough():
    quantities = chains_around([0, 0, 0])
    quantities[2, :, 1] += 9
    quantities[:, :, 0] = 5.0  # does not vary: says nothing
    assert find_clusters(quantities) == [[0, 1], [2]]


def predictions(rng, n_chains, n_draws, n_rows, spread=0.3, log_variance=-1.0):
    """Quantities of independent draws: predictive means and log variances at some rows."""
    mean = rng.normal(0.0, spread, (n_chains, n_draws, n_rows))
    log_variance = rng.normal(log_variance, 0.1, mean.shape)
    unused = np.zeros((n_chains, n_draws, 1 + n_rows))
    return np.concatenate([unused, mean, log_variance], axis=2)


def test_predictive_error_is_the_standard_error_of_predictions():
    """Of independent draws it is known; from 400 batches it has a relative error of 4%."""
    n_chains, n_draws, spread, log_variance = 200, 20, 0.3, -1.0
    quantities = predictions(np.random.default_rng(0), n_chains, n_draws, 1, spread, log_variance)
    sd = np.sqrt(np.exp(log_variance + 0.1**2 / 2) + spread**2)
    expected = spread / np.sqrt(n_chains * n_draws) / sd
    found = predictive_error(quantities, [list(range(n_chains))])
    assert found == pytest.approx(expected, rel=0.16)


def test_predictive_error_has_no_units():
    quantities = predictions(np.random.default_rng(1), 4, 100, 5)
    scaled = quantities.copy()
    scaled[..., 6:11] = 7.0 + 1e3 * scaled[..., 6:11]
    scaled[..., 11:] += 2.0 * np.log(1e3)
    chains = [[0, 1, 2, 3]]
    assert predictive_error(scaled, chains) == pytest.approx(predictive_error(quantities, chains))


def test_predictive_error_is_that_within_clusters():
    quantities = predictions(np.random.default_rng(2), 4, 100, 5)
    quantities[2:, :, 6:11] += 3.0
    apart = predictive_error(quantities, [[0, 1], [2, 3]])
    each = [predictive_error(quantities[part], [[0, 1]]) for part in ([0, 1], [2, 3])]
    assert apart == max(each)
    assert predictive_error(quantities, [[0, 1, 2, 3]]) > 5.0 * apart


def test_predictive_error_of_one_draw_is_unknown():
    assert np.isnan(predictive_error(np.zeros((4, 1, 31)), [[0, 1, 2, 3]]))


@pytest.mark.parametrize("prior_rows", [0.0, 1.0, 5.0])
def test_stacking_maximises_the_log_score(prior_rows):
    rng = np.random.default_rng(0)
    log_density = rng.normal(size=(60, 3)) + np.array([0.0, 0.3, -2.0])
    rows = rng.uniform(0.5, 2.0, 60)
    weight = stacking_weights(log_density, rows, prior_rows)
    assert weight.sum() == pytest.approx(1.0)
    assert (weight >= 0).all()

    def loss(free):
        share = np.exp([*free, 0.0])
        return score(share / share.sum())

    def score(share):
        prior = prior_rows * np.log(share).sum() if prior_rows else 0.0
        return -rows @ np.log(np.exp(log_density) @ share) - prior

    best = optimize.minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-8})
    assert score(weight) <= best.fun + 1e-6


def test_stacking_gives_all_to_a_cluster_that_is_better_everywhere():
    log_density = np.column_stack([np.zeros(40), np.full(40, -3.0)])
    np.testing.assert_allclose(stacking_weights(log_density, np.ones(40)), [1.0, 0.0], atol=1e-9)
    shifted = stacking_weights(log_density - 1e4, np.ones(40))  # no underflow
    np.testing.assert_allclose(shifted, [1.0, 0.0], atol=1e-9)


def test_a_prior_row_leaves_no_cluster_at_zero():
    log_density = np.column_stack([np.zeros(40), np.full(40, -30.0)])
    weight = stacking_weights(log_density, np.ones(40), prior_rows=1.0)
    np.testing.assert_allclose(weight, [41 / 42, 1 / 42], rtol=1e-6)
    same = stacking_weights(np.zeros((40, 4)), np.ones(40), prior_rows=1.0)
    np.testing.assert_allclose(same, 0.25)


def two_modes(problem):
    """Chains 0 and 2 fit the data, 1 and 3 are shifted by one standard deviation."""
    rng = np.random.default_rng(0)
    theta = 0.05 * rng.normal(size=(4, 200, problem.spec.n_parameters))
    theta[[1, 3], :, : problem.spec.n_experts] += 1.0
    return theta


def test_weights_enter_every_prediction(monkeypatch):
    """A fit whose engine returns two modes: predictions are those of the weighted mixture."""
    X = np.random.default_rng(1).normal(size=(60, 1))
    y = np.random.default_rng(2).normal(size=60) + 0.3

    def engine(problem, settings):
        theta = two_modes(problem)
        return EngineResult(theta, Kernel(problem).log_posterior(theta))

    monkeypatch.setattr("skcocoafuse.evaluation.learning.get_engine", lambda name: engine)
    with pytest.warns(SeparateModesWarning, match=r"2 groups.*\[0, 2\].*\[1, 3\]"):
        model = MoERegressor(1, random_state=0).fit(X, y)
    found = model.diagnostics_
    assert found["chain_clusters"] == [[0, 2], [1, 3]]
    weight = found["cluster_weight"]
    assert weight[0] > weight[1]
    assert weight.sum() == pytest.approx(1.0)
    assert found["cluster_elpd"][0] > found["cluster_elpd"][1]
    assert found["rhat"] > 1.5
    assert found["rhat_within"] < 1.05

    posterior, designs = model.posterior_, checked_designs(model, X)
    means, densities = [], []
    scaled = model.fitted_.target.apply(y)
    for chains in found["chain_clusters"]:
        mixture = mixture_of(posterior.spec, posterior.chains(chains).flat(), designs)
        means.append(forward.mean_and_variance(mixture)[0].mean(axis=0))
        densities.append(np.exp(forward.log_density(forward.NUMPY, mixture, scaled)).mean(axis=0))
    mean = model.fitted_.target.loc + model.fitted_.target.scale * (weight @ np.array(means))
    np.testing.assert_allclose(model.predict(X), mean)
    density = weight @ np.array(densities) / model.fitted_.target.scale
    np.testing.assert_allclose(model.log_prob(X, y), np.log(density))
    dist = model.predict_dist(X[:5])
    np.testing.assert_allclose(dist.cdf(dist.ppf([0.1, 0.9])), [[0.1, 0.9]] * 5, atol=1e-9)
    np.testing.assert_allclose(dist[:2].mean(), dist.mean()[:2])
    draws = dist.rvs(4000, random_state=0)
    error = dist.std() / np.sqrt(4000)
    assert (np.abs(draws.mean(axis=1) - dist.mean()) < 4.5 * error).all()
    # what has labels comes from the first cluster alone
    main = posterior.chains([0, 2]).flat()
    expected = model.fitted_.target.loc + model.fitted_.target.scale * main.expert_intercept.mean()
    slope = model.expert_coef_[0, 0] * X[:, 0].mean()
    assert model.expert_intercept_[0] + slope == pytest.approx(expected, abs=1e-9)


def test_one_cluster_has_equal_weights():
    problem = make_problem(2, n=40)
    theta = 0.1 * np.random.default_rng(0).normal(size=(2, 150, problem.spec.n_parameters))
    posterior = Posterior(problem.spec, problem.spec.unpack(theta), np.zeros((2, 150)), {})
    quantities = invariants(problem, posterior)
    same = weigh_clusters(problem, posterior, quantities, rhat(quantities))
    assert same.clusters == ((0, 1),)
    np.testing.assert_array_equal(same.draw_weight(), np.full(300, 1 / 300))
    assert same.main_cluster() is same
