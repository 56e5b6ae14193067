import numpy as np
import pytest
from scipy import integrate, stats

from skcocoafuse.model import forward
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.parameters import NOISES
from skcocoafuse.model.spec import ModelSpec
from tests.problems import BEHAVIORS, make_problem


def draws_of(problem, n_draws=3, seed=1):
    theta = np.random.default_rng(seed).normal(size=(n_draws, problem.spec.n_parameters))
    return problem.spec.unpack(theta)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("behavior", BEHAVIORS.values(), ids=BEHAVIORS)
@pytest.mark.parametrize("n_experts", [1, 2, 4])
def test_unpack_and_pack_are_inverse(n_experts, behavior, noise):
    columns = {"expert": 2, "noise": 2, "gate": 3, "behavior": 1}
    spec = ModelSpec(n_experts, columns, behavior, noise=noise)
    theta = np.random.default_rng(0).normal(size=(5, 2, spec.n_parameters))
    parameters = spec.unpack(theta)
    np.testing.assert_allclose(spec.pack(parameters), theta, atol=1e-12)
    np.testing.assert_allclose(parameters.gate_intercept.sum(axis=-1), 0.0, atol=1e-12)
    np.testing.assert_allclose(parameters.gate_coef.sum(axis=-2), 0.0, atol=1e-12)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("n_noise", [0, 2])
def test_mean_and_variance_identities_hold_for_every_beta(n_noise, noise):
    problem = make_problem(n_experts=3, n_noise=n_noise, noise=noise)
    p = draws_of(problem)
    mixture = mixture_of(problem.spec, p, problem.designs)
    a = np.exp(forward.log_gate(forward.NUMPY, p, problem.designs["gate"]))
    mu = forward.expert_means(forward.NUMPY, p, problem.designs["expert"])
    beta = forward.behavior(forward.NUMPY, p, problem.designs["behavior"])
    mbar = (a * mu).sum(-1)
    own = forward.expert_variances(forward.NUMPY, p, problem.designs["noise"])
    vbar = (a * own).sum(-1)
    mean, variance = forward.mean_and_variance(mixture)
    np.testing.assert_allclose(mean, mbar, rtol=1e-10)
    expected = vbar + beta[..., 0] ** 2 * (a * (mu - mbar[..., None]) ** 2).sum(-1)
    np.testing.assert_allclose(variance, expected, rtol=1e-10)


def test_limits_are_mixture_and_blend_of_experts():
    """beta = 1 superposes densities, beta = 0 averages parameters; both by scipy."""
    problem = make_problem(n_experts=3, n_noise=1)
    p = draws_of(problem)
    a = np.exp(forward.log_gate(forward.NUMPY, p, problem.designs["gate"]))
    mu = forward.expert_means(forward.NUMPY, p, problem.designs["expert"])
    sd = np.sqrt(forward.expert_variances(forward.NUMPY, p, problem.designs["noise"]))
    y = problem.y

    def density(beta):
        log_a = np.log(a)
        return np.exp(
            forward.log_density(
                forward.NUMPY, forward.fuse(forward.NUMPY, log_a, mu, sd**2, beta), y
            )
        )

    moe = (a * stats.norm.pdf(y[:, None], mu, sd)).sum(-1)
    boe = stats.norm.pdf(y, (a * mu).sum(-1), np.sqrt((a * sd**2).sum(-1)))
    np.testing.assert_allclose(density(1.0), moe, rtol=1e-10)
    np.testing.assert_allclose(density(0.0), boe, rtol=1e-10)


@pytest.mark.parametrize("behavior", BEHAVIORS.values(), ids=BEHAVIORS)
def test_one_expert_is_linear_regression(behavior):
    problem = make_problem(n_experts=1, behavior=behavior)
    p = draws_of(problem)
    mixture = mixture_of(problem.spec, p, problem.designs)
    line = p.expert_intercept + (problem.designs["expert"] @ p.expert_coef[:, 0].T).T
    expected = stats.norm.logpdf(problem.y, line, p.sigma)
    found = forward.log_density(forward.NUMPY, mixture, problem.y)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_permuting_experts_changes_nothing():
    problem = make_problem(n_experts=4, n_noise=2)
    p = draws_of(problem)
    order = np.random.default_rng(0).permuted(np.tile(np.arange(4), (3, 1)), axis=1)
    one = mixture_of(problem.spec, p, problem.designs)
    other = mixture_of(problem.spec, p.permute_experts(order), problem.designs)
    np.testing.assert_allclose(
        forward.log_density(forward.NUMPY, one, problem.y),
        forward.log_density(forward.NUMPY, other, problem.y),
        rtol=1e-12,
    )


def test_density_has_mass_one():
    problem = make_problem(n_experts=3, n=4)
    p = draws_of(problem, n_draws=1).map(lambda a: a[0])
    mixture = mixture_of(problem.spec, p, problem.designs)
    y = np.linspace(-60, 60, 200_001)
    for row in range(4):
        one = forward.Components(*(np.broadcast_to(c[row], (y.size, 3)) for c in mixture[:3]))
        density = np.exp(forward.log_density(forward.NUMPY, one, y))
        assert integrate.trapezoid(density, y) == pytest.approx(1.0, abs=1e-8)


def test_extreme_gates_and_outliers_stay_finite():
    problem = make_problem(n_experts=3)
    p = draws_of(problem).map(lambda a: 1.0 * a)
    p = p._replace(gate_coef=300.0 * p.gate_coef, behavior_intercept=-800.0 + 0 * p.sigma[:, 0])
    mixture = mixture_of(problem.spec, p, problem.designs)
    assert np.isfinite(forward.log_density(forward.NUMPY, mixture, 1e4 * problem.y)).all()


def test_noise_without_coefficients_is_constant():
    """r = 0 is the model without inputs of the noise, rounding or not."""
    problem = make_problem(3, n_noise=2, rounding_variance=0.2)
    p = draws_of(problem)
    p = p._replace(noise_coef=0.0 * p.noise_coef)
    found = forward.expert_variances(forward.NUMPY, p, problem.designs["noise"], 0.2)
    expected = np.broadcast_to(p.sigma[:, None, :] ** 2, found.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_log_of_the_noise_is_linear_near_the_data_and_bounded_far_away():
    problem = make_problem(2, n_noise=2, n=30)
    p, X = draws_of(problem), problem.designs["noise"]

    def log_ratio(X):
        variance = forward.expert_variances(forward.NUMPY, p, X)
        return 0.5 * np.log(variance) - np.log(p.sigma)[:, None, :]

    slope = forward.linear(X, p.noise_coef)
    np.testing.assert_allclose(log_ratio(1e-4 * X), 1e-4 * slope, rtol=1e-5)
    assert np.abs(log_ratio(1e6 * X)).max() <= forward.MAX_LOG_RATIO * (1 + 1e-12)
    along = np.linspace(-40.0, 40.0, 4001)[:, None] * X[:1]
    steps = np.diff(log_ratio(along), axis=1)  # monotone along a line through the data, no kink
    np.testing.assert_array_equal(np.sign(steps), np.sign(steps[:, 2000:2001]) * (steps != 0.0))


def test_rounding_remains_where_the_noise_vanishes():
    problem = make_problem(2, n_noise=1, rounding_variance=0.04)
    p = draws_of(problem)
    X = 1e9 * np.sign(-p.noise_coef[0, 0]) * np.ones((1, 1))
    variance = forward.expert_variances(forward.NUMPY, p, X, 0.04)[0, 0, 0]
    assert variance == pytest.approx(0.04 + (p.sigma[0, 0] ** 2 - 0.04) * np.exp(-8.0))


@pytest.mark.parametrize("behavior", BEHAVIORS.values(), ids=BEHAVIORS)
def test_numpy_and_pytensor_agree(behavior):
    """The same functions on PyTensor variables, evaluated without compiling."""
    import pytensor
    import pytensor.tensor as pt

    from skcocoafuse.model.pymc_model import pytensor_ops

    problem = make_problem(3, behavior=behavior, n_noise=2, rounding_variance=0.1)
    p = draws_of(problem, n_draws=1).map(lambda a: a[0])
    expected = forward.log_density(
        forward.NUMPY, mixture_of(problem.spec, p, problem.designs), problem.y
    )
    ops, X = pytensor_ops(), {k: pt.as_tensor(v) for k, v in problem.designs.items()}
    symbolic = p.map(pt.as_tensor)
    beta = behavior if behavior is not None else forward.behavior(ops, symbolic, X["behavior"])
    mixture = forward.components(ops, symbolic, X, beta, 0.1)
    graph = forward.log_density(ops, mixture, pt.as_tensor(problem.y))
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        found = pytensor.function([], graph)()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("behavior", BEHAVIORS.values(), ids=BEHAVIORS)
def test_responsibilities_are_probabilities_however_far_targets_are(behavior):
    """Bayes' rule where densities are numbers; beyond them the limit: the widest component's."""
    problem = make_problem(3, behavior=behavior, n=20)
    theta = np.random.default_rng(0).normal(size=(4, problem.spec.n_parameters))
    mixture = mixture_of(problem.spec, problem.spec.unpack(theta), problem.designs)
    terms = forward.component_log_density(forward.NUMPY, mixture, problem.y)
    expected = np.exp(terms) / np.exp(terms).sum(axis=-1, keepdims=True)
    found = forward.responsibilities(mixture, problem.y)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    gate = np.exp(mixture.log_weight)
    widest = np.eye(3)[np.argmax(mixture.variance, axis=-1)]
    limit = gate if behavior == 0.0 else np.broadcast_to(widest, gate.shape)
    for far in (1e60, 1e200, 1e308, np.inf, -1e200, -np.inf):
        with np.errstate(all="raise", under="ignore"):
            found = forward.responsibilities(mixture, np.full(20, far))
        np.testing.assert_allclose(found, limit, atol=1e-12)


@pytest.mark.parametrize("df", [1.0, 1.001, 3.0, 30.0, 1e4, 1e9])
def test_student_t_is_that_of_scipy(df):
    z = np.linspace(-8.0, 8.0, 41)
    mixture = forward.Components(np.zeros((41, 1)), np.zeros((41, 1)), np.ones((41, 1)), df)
    own = stats.t(df)
    found = forward.log_density(forward.NUMPY, mixture, z)
    np.testing.assert_allclose(found, own.logpdf(z), rtol=1e-9)
    np.testing.assert_allclose(forward.probability_below(mixture, z), own.cdf(z), rtol=1e-9)


def test_student_t_with_infinitely_many_degrees_of_freedom_is_normal():
    problem = make_problem(n_experts=3, n_noise=1)
    mixture = mixture_of(problem.spec, draws_of(problem), problem.designs)
    limit = mixture._replace(df=np.full((3, 1, 1), 1e9))
    for function in (
        lambda m: forward.log_density(forward.NUMPY, m, problem.y),
        lambda m: forward.probability_below(m, problem.y),
        lambda m: forward.responsibilities(m, problem.y),
    ):
        np.testing.assert_allclose(function(limit), function(mixture), rtol=1e-6, atol=1e-9)


def test_random_values_of_student_t_have_its_distribution():
    n = 20_000
    one = np.zeros((n, 1))
    mixture = forward.Components(one, one + 1.0, one + 4.0, np.full((1, 1), 3.0))
    values = forward.random_values(np.random.default_rng(0), mixture)
    own = stats.t(3.0, loc=1.0, scale=2.0)
    assert stats.kstest(values, own.cdf).pvalue > 1e-3


def test_responsibilities_of_student_t_survive_any_target():
    problem = make_problem(n_experts=3, noise="student_t", n=5)
    problem.y[:4] = [1e300, -1e300, np.inf, 0.0]
    found = forward.responsibilities(
        mixture_of(problem.spec, draws_of(problem), problem.designs), problem.y
    )
    np.testing.assert_allclose(found.sum(axis=-1), 1.0, rtol=1e-12)
