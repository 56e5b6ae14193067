"""Laws of the predictive distribution, with scipy as oracle."""

import pickle

import numpy as np
import pytest
from scipy import integrate, stats

from skcocoafuse import PredictiveDistribution
from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.predictive import mixture
from tests.problems import make_problem

LOC, SCALE = 3.0, 2.5


def make(n_experts=3, n_draws=7, n=6, seed=0, behavior=None):
    problem = make_problem(n_experts, behavior=behavior, n=n, seed=seed)
    theta = np.random.default_rng(seed).normal(size=(n_draws, problem.spec.n_parameters))
    parameters = problem.spec.unpack(theta)
    dist = PredictiveDistribution(problem.spec, parameters, problem.designs, LOC, SCALE)
    return problem, parameters, dist


@pytest.fixture
def dist():
    return make()[2]


def brute_force(problem, parameters):
    """(weights, means, sds) of shape (rows, draws * experts), by a plain concatenation."""
    mixture = mixture_of(problem.spec, parameters, problem.designs)
    rows = range(len(problem.y))
    weight = [np.exp(mixture.log_weight[:, i]).ravel() / len(parameters.sigma) for i in rows]
    mean = [LOC + SCALE * mixture.mean[:, i].ravel() for i in rows]
    sd = [SCALE * np.sqrt(mixture.variance[:, i]).ravel() for i in rows]
    return map(np.array, (weight, mean, sd))


def test_is_the_average_of_all_components():
    problem, parameters, dist = make()
    weight, mean, sd = brute_force(problem, parameters)
    y = np.linspace(-5, 12, 9)
    components = stats.norm(mean[:, :, None], sd[:, :, None])
    points = np.tile(y, (len(dist), 1))
    np.testing.assert_allclose(dist.pdf(points), (weight[:, :, None] * components.pdf(y)).sum(1))
    np.testing.assert_allclose(dist.cdf(points), (weight[:, :, None] * components.cdf(y)).sum(1))
    np.testing.assert_allclose(dist.sf(points), (weight[:, :, None] * components.sf(y)).sum(1))
    expected_mean = (weight * mean).sum(1)
    np.testing.assert_allclose(dist.mean(), expected_mean)
    expected_var = (weight * (sd**2 + mean**2)).sum(1) - expected_mean**2
    np.testing.assert_allclose(dist.var(), expected_var)
    np.testing.assert_allclose(dist.std() ** 2, dist.var())


def test_one_draw_and_one_expert_is_a_normal_distribution():
    problem, parameters, dist = make(n_experts=1, n_draws=1)
    line = parameters.expert_intercept[0] + problem.designs["expert"] @ parameters.expert_coef[0, 0]
    oracle = stats.norm(LOC + SCALE * line, SCALE * parameters.sigma[0, 0])
    q = np.array([1e-300, 1e-12, 0.3, 0.5, 0.9, 1 - 1e-12])
    np.testing.assert_allclose(dist.ppf(q), oracle.ppf(q[:, None]).T, rtol=1e-9)
    y = oracle.ppf(0.2)
    for method in ("pdf", "logpdf", "cdf", "sf"):
        np.testing.assert_allclose(getattr(dist, method)(y), getattr(oracle, method)(y))
    np.testing.assert_allclose(dist.mean(), oracle.mean())
    np.testing.assert_allclose(dist.std(), oracle.std())
    np.testing.assert_allclose(dist.interval(0.9).T, oracle.interval(0.9), rtol=1e-9)


def test_quantiles_invert_probabilities(dist):
    q = np.array([1e-14, 1e-9, 0.001, 0.25, 0.5, 0.75, 0.999])
    np.testing.assert_allclose(dist.cdf(dist.ppf(q)), np.tile(q, (len(dist), 1)), rtol=1e-8)
    upper = 1 - np.array([1e-3, 2.0**-30])
    np.testing.assert_allclose(dist.sf(dist.ppf(upper)), np.tile(1 - upper, (6, 1)), rtol=1e-8)


def test_quantiles_survive_draws_on_very_different_scales():
    problem, parameters, _ = make(n_draws=40)
    scales = np.geomspace(1e-6, 1e6, 40)[:, None]
    wild = parameters._replace(sigma=parameters.sigma * scales)
    dist = PredictiveDistribution(problem.spec, wild, problem.designs, LOC, SCALE)
    q = np.array([1e-10, 0.01, 0.4, 0.5, 0.6, 0.99])
    np.testing.assert_allclose(dist.cdf(dist.ppf(q)), np.tile(q, (len(dist), 1)), rtol=1e-8)


def test_many_draws_take_the_coarse_first_guess():
    dist = make(n_draws=900, n=3)[2]
    q = np.array([1e-8, 0.025, 0.5, 0.975])
    np.testing.assert_allclose(dist.cdf(dist.ppf(q)), np.tile(q, (3, 1)), rtol=1e-8)


def test_density_is_the_derivative_and_has_mass_one(dist):
    y = np.tile(np.linspace(-150, 150, 60_001), (len(dist), 1))
    pdf = dist.pdf(y)
    np.testing.assert_allclose(integrate.trapezoid(pdf, y), 1.0, atol=1e-6)
    middle = 0.5 * (y[:, 1:] + y[:, :-1])[:, ::500]
    h = 1e-4
    numeric = (dist.cdf(middle + h) - dist.cdf(middle - h)) / (2 * h)
    np.testing.assert_allclose(dist.pdf(middle), numeric, atol=1e-7)


def test_log_density_stays_finite_far_out(dist):
    far = dist.logpdf(1e8)
    assert np.isfinite(far).all()
    assert (far < -1e3).all()


def test_median_and_interval_are_quantiles(dist):
    np.testing.assert_array_equal(dist.median(), dist.ppf(0.5))
    one = dist.interval(0.8)
    assert one.shape == (6, 2)
    np.testing.assert_allclose(one, dist.ppf([0.1, 0.9]))
    several = dist.interval([0.5, 0.8])
    assert several.shape == (6, 2, 2)
    np.testing.assert_allclose(several[..., 1], one)
    assert (several[:, 0, 1] < several[:, 0, 0]).all()


def test_samples_follow_the_distribution():
    """Each column is one data set: uniform probabilities, tested row by row."""
    dist = make(n_draws=50)[2]
    draws = dist.rvs(4000, random_state=0)
    assert draws.shape == (6, 4000)
    for row in range(6):
        pit = dist[row].cdf(draws[row][None, :])[0]
        assert stats.kstest(pit, "uniform").pvalue > 1e-3
    np.testing.assert_array_equal(draws, dist.rvs(4000, random_state=0))


def test_intervals_cover_their_own_samples():
    dist = make(n_draws=50)[2]
    draws = dist.rvs(4000, random_state=1)
    ends = dist.interval(0.8)
    inside = ((draws > ends[:, :1]) & (draws < ends[:, 1:])).mean(axis=1)
    np.testing.assert_allclose(inside, 0.8, atol=4.5 * np.sqrt(0.16 / 4000))


def test_rows_are_independent_of_each_other(dist):
    order = np.random.default_rng(0).permutation(6)
    np.testing.assert_array_equal(dist[order].mean(), dist.mean()[order])
    np.testing.assert_allclose(dist[order].ppf([0.1, 0.9]), dist.ppf([0.1, 0.9])[order])
    assert len(dist[2]) == 1
    assert len(dist[np.array([True, False] * 3)]) == 3
    whole = dist.ppf(0.3), dist.logpdf(1.0), dist.var()
    tiny = dist.using(max_memory=1)  # a row a chunk
    for one, other in zip(whole, (tiny.ppf(0.3), tiny.logpdf(1.0), tiny.var()), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_permuting_draws_or_experts_changes_nothing():
    problem, parameters, dist = make()
    rng = np.random.default_rng(0)
    order = rng.permuted(np.tile(np.arange(3), (7, 1)), axis=1)
    draws = rng.permutation(7)
    other = parameters.permute_experts(order).map(lambda a: a[draws])
    changed = PredictiveDistribution(problem.spec, other, problem.designs, LOC, SCALE)
    np.testing.assert_allclose(dist.ppf([0.1, 0.7]), changed.ppf([0.1, 0.7]), rtol=1e-9)
    np.testing.assert_allclose(dist.logpdf(2.0), changed.logpdf(2.0), rtol=1e-12)


def test_responsibilities_are_bayes_rule():
    problem, parameters, dist = make(n_draws=1)
    mixture = mixture_of(problem.spec, parameters, problem.designs)
    y = LOC + SCALE * problem.y
    joint = np.exp(mixture.log_weight[0]) * stats.norm.pdf(
        problem.y[:, None], mixture.mean[0], np.sqrt(mixture.variance[0])
    )
    found = dist.responsibilities(y)
    np.testing.assert_allclose(found, joint / joint.sum(1, keepdims=True))
    np.testing.assert_allclose(found.sum(1), 1.0)
    assert forward.mean_and_variance(mixture)[0].shape == (1, 6)


@pytest.mark.parametrize("bad", [0.0, 1.0, -0.1, 1.1, np.nan, [0.5, 1.0], []])
def test_probabilities_are_checked(dist, bad):
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        dist.ppf(bad)
    with pytest.raises(ValueError, match="coverage must be"):
        dist.interval(bad)


def test_points_of_a_wrong_shape_are_refused(dist):
    with pytest.raises(ValueError, match=r"shape \(6,\), one per row.*got shape \(5,\)"):
        dist.pdf(np.zeros(5))


def test_repr_says_what_it_is(dist):
    assert repr(dist) == "PredictiveDistribution(6 rows, 7 draws, 3 experts)"


def test_threads_and_memory_change_nothing():
    _, _, dist = make(n_draws=40, n=300)
    y = dist.rvs(1, random_state=0)[:, 0]
    for other in (dist.using(n_jobs=2), dist.using(n_jobs=2, max_memory=40_000)):
        np.testing.assert_array_equal(dist.mean_and_std(), other.mean_and_std())
        np.testing.assert_array_equal(dist.interval(), other.interval())
        np.testing.assert_array_equal(dist.crps(y), other.crps(y))
        np.testing.assert_allclose(dist.responsibilities(y), other.responsibilities(y), rtol=1e-12)
        np.testing.assert_array_equal(dist.prob_multimodal(), other.prob_multimodal())


def test_errors_of_threads_are_raised():
    _, _, dist = make(n=300)
    with pytest.raises(ZeroDivisionError):
        dist.using(n_jobs=2)._mixtures.run(lambda rows, designs: 1 / 0, dist._designs, 10)


def test_fewer_draws_have_the_error_they_say():
    """Root mean square over many choices of draws; a mean of squares of 400 is known to 7 %."""
    dist = make(n_draws=60, n=4)[2]
    y = dist.ppf(0.3)
    apart = np.array([dist.thinned(20, seed).cdf(y) - 0.3 for seed in range(400)])
    rms = np.sqrt((apart**2).mean(axis=0))
    expected = dist.thinning_error(20, y)
    np.testing.assert_allclose(rms, expected, rtol=4 * 0.07)
    np.testing.assert_allclose(apart.mean(axis=0), 0.0, atol=4.5 * (expected / 20).max())
    assert (expected <= 0.5 / np.sqrt(20)).all()
    assert dist.thinned(20, 0).n_draws <= 20
    with pytest.raises(ValueError, match="n_draws must be at least 1; got 0"):
        dist.thinned(0)


def test_survival_is_inverted_where_one_minus_q_is_lost(dist):
    q = np.array([1e-30, 1e-9, 0.2])
    np.testing.assert_allclose(dist.sf(dist.isf(q)), np.tile(q, (len(dist), 1)), rtol=1e-8)
    np.testing.assert_allclose(dist.isf(0.2), dist.ppf(0.8), rtol=1e-9)


def test_cannot_be_changed(dist):
    with pytest.raises(AttributeError, match="is immutable; cannot set 'scale'"):
        dist.scale = 2.0
    assert len(pickle.loads(pickle.dumps(dist))) == len(dist)


def test_far_points_are_at_the_ends(dist):
    ends = np.tile([-np.inf, -1e200, 1e200, np.inf], (len(dist), 1))
    expected = np.tile([0.0, 0.0, 1.0, 1.0], (len(dist), 1))
    np.testing.assert_allclose(dist.cdf(ends), expected, rtol=1e-15, atol=1e-300)
    np.testing.assert_array_equal(dist.pdf(ends), 0.0)
    assert np.isnan(dist.cdf(np.nan)).all()
    assert np.isnan(dist.logpdf(np.nan)).all()


def test_normal_tails_are_accurate():
    z = np.concatenate([np.linspace(-37, 37, 20_001), np.logspace(-9, 1, 1000)])[None]
    one = mixture.Mixtures(np.ones((1, 1)), np.zeros((1, 1)), np.ones((1, 1)))
    np.testing.assert_allclose(mixture.cdf(one, z), stats.norm.cdf(z), rtol=1e-12)
    np.testing.assert_allclose(mixture.sf(one, z), stats.norm.sf(z), rtol=1e-12)
    near = z[np.abs(z) < 8][None]
    np.testing.assert_allclose(mixture.sf(one, near), stats.norm.sf(near), rtol=5e-14)


def test_components_survive_the_map_engine_and_one_row():
    """One draw, one row, no inputs: the smallest arrays there are."""
    problem, parameters, _ = make(n_draws=1, n=1)
    dist = PredictiveDistribution(problem.spec, parameters, problem.designs)
    assert dist.interval(0.5).shape == (1, 2)
    assert len(dist[:0].mean()) == len(dist[:0].ppf(0.5)) == 0
    assert dist[:0].interval(0.5).shape == (0, 2)
    assert dist[:0].interval([0.5, 0.8, 0.9]).shape == (0, 2, 3)
