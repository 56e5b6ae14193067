"""Power-scaling: laws, closed forms, and ArviZ as an oracle."""

import numpy as np
import pytest
from scipy import integrate, signal, special, stats

from skcocoafuse.evaluation import power_scaling
from skcocoafuse.evaluation.power_scaling import (
    ALL,
    BAD_WEIGHTS,
    CONFLICT,
    FEW_DRAWS,
    STRONG,
    Scaled,
    cumulative_js_distance,
)
from skcocoafuse.evaluation.prior_sensitivity import PriorSensitivity
from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.monte_carlo import trusted_pareto_k
from tests.problems import make_problem


def distance_of_laws(p, q, low, high):
    """The definition for two distributions of scipy, by an integral on a fine grid."""
    x = np.linspace(low, high, 200_001)

    def one_sided(P, Q):
        middle = 0.5 * (P + Q)
        apart = special.xlogy(P, P / middle) + special.xlogy(Q, Q / middle)
        ratio = integrate.trapezoid(apart, x) / integrate.trapezoid(P + Q, x)
        return np.sqrt(max(ratio, 0.0) / np.log(2.0))

    return max(one_sided(p.cdf(x), q.cdf(x)), one_sided(p.sf(x), q.sf(x)))


@pytest.fixture(scope="module")
def weighted():
    rng = np.random.default_rng(0)
    values = np.column_stack([rng.normal(size=500), rng.exponential(size=500)])
    weight = rng.exponential(size=(2, 500))
    return values, weight / weight.sum(axis=1, keepdims=True)


def test_distance_is_nothing_between_equals():
    values = np.random.default_rng(0).normal(size=(300, 2))
    np.testing.assert_allclose(
        cumulative_js_distance(values, np.full((1, 300), 1 / 300)), 0.0, atol=1e-7
    )


def test_distance_does_not_know_units_signs_or_order(weighted):
    values, weight = weighted
    found = cumulative_js_distance(values, weight)
    assert ((found > 0) & (found < 1)).all()
    np.testing.assert_allclose(cumulative_js_distance(3.0 + 0.1 * values, weight), found)
    np.testing.assert_allclose(cumulative_js_distance(-values, weight), found)
    order = np.random.default_rng(1).permutation(500)
    np.testing.assert_allclose(cumulative_js_distance(values[order], weight[:, order]), found)


def test_distance_of_what_does_not_vary_is_nothing(weighted):
    assert (cumulative_js_distance(np.ones((500, 1)), weighted[1]) == 0.0).all()


def test_distance_is_arvizs(weighted):
    base = pytest.importorskip("arviz_stats.base")
    values, weight = weighted
    theirs = [
        [max(base.array_stats._cjs_dist(sign * x, w) for sign in (1, -1)) for x in values.T]
        for w in weight
    ]
    np.testing.assert_allclose(cumulative_js_distance(values, weight), theirs, rtol=1e-6)


def test_a_normal_mean_moves_as_in_closed_form():
    """Prior N(1, 1), one observation 0 with variance 1/4: all posteriors are known.

    20 000 exact draws; the range that the distance integrates over is theirs.
    """
    prior_at, precision = 1.0, 4.0
    rng = np.random.default_rng(0)

    def posterior(prior_power, power):
        total = prior_power + power * precision
        return stats.norm(prior_power * prior_at / total, total**-0.5)

    draws = posterior(1, 1).rvs((4, 5000), random_state=rng)
    log_density = np.stack(
        [stats.norm(0, precision**-0.5).logpdf(draws), stats.norm(prior_at).logpdf(draws)], axis=-1
    )
    alpha = 1.25
    moved = Scaled(log_density, alpha).move(draws.reshape(-1, 1))

    def closed(scaled):
        distances = [
            distance_of_laws(posterior(1, 1), scaled(a), draws.min(), draws.max())
            for a in (1 / alpha, alpha)
        ]
        shift = scaled(alpha).mean() - scaled(1 / alpha).mean()
        return np.mean(distances) / np.log2(alpha), 0.5 * shift / np.log2(alpha) / posterior(
            1, 1
        ).std()

    for k, scaled in enumerate((lambda a: posterior(1, a), lambda a: posterior(a, 1))):
        distance, shift = closed(scaled)
        assert moved.sensitivity[k, 0] == pytest.approx(distance, abs=3 * moved.noise[k, 0])
        assert moved.shift[k, 0] == pytest.approx(shift, rel=0.03)
        assert distance > 10 * moved.noise[k, 0]  # so the first line says something


def test_a_small_power_shifts_by_the_covariance():
    rng = np.random.default_rng(0)
    density, noise = rng.normal(size=(2, 2, 1000))
    values = (density + noise).reshape(-1, 1)
    moved = Scaled(density[..., None], 1.0001).move(values)
    covariance = np.mean(density.reshape(-1) * (values[:, 0] - values.mean()))
    # up to what smoothing does to the largest weights
    np.testing.assert_allclose(moved.shift, np.log(2) * covariance / values.std(), rtol=0.01)


@pytest.mark.parametrize(("persistence", "least", "most"), [(0.0, 0.9, 1.15), (0.8, 0.4, 1.0)])
def test_noise_is_what_unrelated_draws_show(persistence, least, most):
    """In root mean square over 300 of them; an upper bound where draws are correlated."""
    rng = np.random.default_rng(0)

    def chains(entries):
        innovations = rng.normal(size=(4, 1000, entries))
        return signal.lfilter([1.0], [1.0, -persistence], innovations, axis=1)

    moved = Scaled(chains(1), 1.25).move(chains(300).reshape(4000, 300))
    assert least < np.sqrt((moved.sensitivity**2).mean()) / moved.noise.mean() < most


@pytest.mark.parametrize(
    ("likelihood", "prior", "noise", "told"),
    [
        (0.5, 0.04, 0.001, ""),
        (0.5, 0.20, 0.001, CONFLICT),
        (0.04, 0.20, 0.001, STRONG),
        (0.5, 0.20, 0.15, FEW_DRAWS),
        (0.06, 0.20, 0.05, STRONG),  # the likelihood's figure may be noise
        (0.5, 0.20, np.nan, FEW_DRAWS),
    ],
)
def test_diagnosis(likelihood, prior, noise, told):
    found = power_scaling.diagnose(np.array([likelihood, prior]), np.full(2, noise), 0.05)
    assert found == told


def measured(problem, theta, parameters=None, **changes):
    spec = problem.spec
    parameters = spec.unpack(theta) if parameters is None else parameters
    posterior = Posterior(spec, parameters, np.zeros(theta.shape[:2]), {})
    names = [f"row {row}" for row in range(len(problem.y))]
    arguments = {"own": [], "alpha": 1.25, "threshold": 0.05} | changes
    found = power_scaling.measure(problem, posterior, problem.designs, names, **arguments)
    n_draws = theta[..., 0].size
    return PriorSensitivity(found, arguments["threshold"], trusted_pareto_k(n_draws), n_draws)


@pytest.fixture(scope="module")
def some():
    problem = make_problem(n_experts=3, n=40, weighted=True, rounding_variance=0.01)
    theta = 0.3 * np.random.default_rng(0).normal(size=(4, 250, problem.spec.n_parameters))
    return problem, theta


def test_labels_make_no_difference(some):
    problem, theta = some
    parameters = problem.spec.unpack(theta)
    order = np.random.default_rng(1).permuted(np.tile(np.arange(3), (4, 250, 1)), axis=-1)
    one, other = (
        measured(problem, theta),
        measured(problem, theta, parameters.permute_experts(order)),
    )
    np.testing.assert_allclose(
        one.table["prior_sensitivity"], other.table["prior_sensitivity"], rtol=1e-9
    )


def test_chunks_of_rows_make_no_difference(some, monkeypatch):
    whole = measured(*some)
    monkeypatch.setattr("skcocoafuse.model.chunks.MAX_MEMORY", 64 * 7 * 3000)  # seven rows
    parts = measured(*some)
    for figure in ("prior_sensitivity", "likelihood_sensitivity", "noise", "shift"):
        np.testing.assert_allclose(parts.table[figure], whole.table[figure], rtol=1e-9)
    assert [e.entry for e in parts.entries] == [e.entry for e in whole.entries]


def test_log_likelihood_counts_weights(some):
    problem, theta = some
    draws = problem.spec.unpack(theta[0])
    mixture = mixture_of(problem.spec, draws, problem.designs)
    expected = forward.log_density(forward.NUMPY, mixture, problem.y) @ problem.weight
    np.testing.assert_allclose(power_scaling.log_likelihood(problem, draws), expected)


def test_behavior_lies_between_the_rows(some):
    problem, theta = some
    draws = problem.spec.unpack(theta[0])
    beta = forward.behavior(forward.NUMPY, draws, problem.designs["behavior"])[..., 0]
    mean = power_scaling.mean_behavior(problem.spec, draws, problem.designs).values[:, 0]
    assert ((beta.min(axis=1) < mean) & (mean < beta.max(axis=1))).all()
    same = draws._replace(
        expert_intercept=np.zeros_like(draws.expert_intercept),
        expert_coef=np.zeros_like(draws.expert_coef),
    )  # experts agree everywhere: rows count alike
    mean = power_scaling.mean_behavior(problem.spec, same, problem.designs).values[:, 0]
    np.testing.assert_allclose(mean, beta.mean(axis=1))


@pytest.mark.parametrize(
    ("n_experts", "behavior", "there"),
    [(2, None, True), (1, None, False), (2, 0.0, False), (2, 1.0, False)],
)
def test_behavior_is_there_where_it_means_something(n_experts, behavior, there):
    problem = make_problem(n_experts=n_experts, behavior=behavior, n=20)
    theta = 0.3 * np.random.default_rng(0).normal(size=(2, 100, problem.spec.n_parameters))
    result = measured(problem, theta)
    assert ("behavior" in {e.conclusion for e in result.entries}) == there
    named = {block.name for block in problem.spec.blocks if block.size}
    assert {e.prior for e in result.entries} == {ALL, *named}


def test_table_and_words_agree_with_the_entries(some):
    problem, theta = some
    result = measured(problem, 0.1 * theta, threshold=0.01)
    table = result.table
    assert table["prior_sensitivity"].is_monotonic_decreasing
    for e in result.entries:
        assert table.loc[(e.prior, e.conclusion), "prior_sensitivity"] == e.prior_sensitivity
        assert result._wide().loc[e.prior, e.conclusion] == e.prior_sensitivity
    assert ALL not in result.sensitive_priors
    assert set(result.sensitive_priors) == {
        e.prior for e in result.entries if e.diagnosis in (CONFLICT, STRONG)
    } - {ALL}
    assert result.sensitive_priors[0] in repr(result)
    assert result.sensitive_priors[0] in result._repr_html_()
    assert "No conclusion" in repr(measured(*some, threshold=10.0))


def test_weights_that_cannot_be_trusted_are_told(some):
    problem, theta = some
    result = measured(problem, 10.0 * theta, alpha=50.0)
    bad = [e for e in result.entries if e.pareto_k > result.k_threshold]
    assert bad
    assert {e.diagnosis for e in bad} == {BAD_WEIGHTS}
    assert "cannot be determined" in repr(result)
