"""The hand-derived kernel against three oracles: PyMC, plain numpy, finite differences."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytensor
import pytest

from skcocoafuse import Prior
from skcocoafuse.compiled import vector_math
from skcocoafuse.compiled.affine import ROWS
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.model.parameters import NOISES, PARTS
from skcocoafuse.model.priors import POSITIVE
from skcocoafuse.model.pymc_model import build_pymc_model, variable_name
from tests.problems import BEHAVIORS, finite_difference, log_posterior, make_problem

PRIORS = {
    "default": None,
    "normal": {
        "expert_intercept": Prior("normal", 2.0, loc=0.5),
        "expert_coef": Prior("student_t", 0.5, df=3.0),
        "sigma": Prior("half_normal", 0.8),
        "noise_coef": Prior("normal", 0.5, loc=0.1),
        "gate_intercept": Prior("normal", 1.5),
        "gate_coef": Prior("student_t", 2.0, df=7.0),
        "behavior_intercept": Prior("normal", 2.0, loc=-1.0),
        "behavior_coef": Prior("student_t", 1.0),
    },
    "flat": {"behavior_intercept": Prior("flat"), "behavior_coef": Prior("laplace", 10.0)},
    "student_t": {"noise_df": Prior("half_normal", 5.0)},
}


def noise_of(priors):
    """Student's t where priors are about it."""
    return "student_t" if priors and "noise_df" in priors else "normal"


def pymc_point(problem, theta):
    """theta as the PyMC model's free variables."""
    point, start = {}, 0
    for block in problem.spec.blocks:
        part = theta[start : start + block.size].reshape(block.shape)
        start += block.size
        if block.size:
            suffix = "_log__" if block.constraint == POSITIVE else ""
            point[variable_name(block) + suffix] = part
    return point


def pymc_value_and_gradient(problem, theta):
    """logp and dlogp of the PyMC model, evaluated without compiling to machine code."""
    point = pymc_point(problem, theta)
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        model = build_pymc_model(problem)
        return float(model.compile_logp()(point)), model.compile_dlogp()(point)


@pytest.mark.parametrize("priors", PRIORS.values(), ids=PRIORS)
@pytest.mark.parametrize("behavior", BEHAVIORS.values(), ids=BEHAVIORS)
@pytest.mark.parametrize("n_experts", range(1, 6))
def test_is_the_pymc_model(n_experts, behavior, priors):
    problem = make_problem(
        n_experts,
        behavior=behavior,
        weighted=True,
        priors=priors,
        n_noise=2,
        noise=noise_of(priors),
    )
    theta = np.random.default_rng(n_experts).normal(size=problem.spec.n_parameters)
    value, gradient = Kernel(problem)(theta)
    expected_value, expected_gradient = pymc_value_and_gradient(problem, theta)
    assert value == pytest.approx(expected_value, rel=1e-8)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-8, atol=1e-8)


def test_compiled_pymc_model_has_a_gradient_where_densities_underflow():
    """A rewrite of PyTensor once took the shift out of log-sum-exp over one expert: 0 / 0."""
    problem = make_problem(1, behavior=0.0)
    theta = np.zeros(problem.spec.n_parameters)
    theta[-1] = -6.0  # log sigma
    gradient = build_pymc_model(problem).compile_dlogp()(pymc_point(problem, theta))
    np.testing.assert_allclose(gradient, Kernel(problem)(theta)[1], rtol=1e-8, atol=1e-6)


@pytest.mark.parametrize("priors", PRIORS.values(), ids=PRIORS)
@pytest.mark.parametrize("behavior", BEHAVIORS.values(), ids=BEHAVIORS)
@pytest.mark.parametrize("n_experts", range(1, 6))
@pytest.mark.parametrize(("sizes", "n_noise"), [((2, 3, 1), 0), ((0, 0, 0), 1), ((11, 1, 4), 5)])
def test_is_the_definition_and_its_derivative(n_experts, behavior, priors, sizes, n_noise):
    problem = make_problem(
        n_experts,
        sizes,
        behavior,
        n=90,
        weighted=True,
        priors=priors,
        n_noise=n_noise,
        noise=noise_of(priors),
    )
    rng = np.random.default_rng(n_experts)
    for scale in (0.3, 2.0):
        theta = scale * rng.normal(size=problem.spec.n_parameters)
        value, gradient = Kernel(problem)(theta)
        assert value == pytest.approx(log_posterior(problem, theta), rel=1e-11)
        numeric = finite_difference(lambda at, p=problem: log_posterior(p, at), theta)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("n_noise", [0, 2])
@pytest.mark.parametrize("n_experts", [1, 3])
def test_rounding_is_part_of_every_variance(n_experts, n_noise):
    problem = make_problem(n_experts, rounding_variance=0.3, n_noise=n_noise)
    theta = np.random.default_rng(0).normal(size=problem.spec.n_parameters)
    value, gradient = Kernel(problem)(theta)
    expected_value, expected_gradient = pymc_value_and_gradient(problem, theta)
    assert value == pytest.approx(expected_value, rel=1e-8)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-8, atol=1e-8)
    assert value == pytest.approx(log_posterior(problem, theta), rel=1e-11)


@pytest.mark.parametrize("n", [2, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 5])
def test_block_borders_do_not_matter(n):
    problem = make_problem(3, n=n)
    theta = np.random.default_rng(0).normal(size=problem.spec.n_parameters)
    assert Kernel(problem)(theta)[0] == pytest.approx(log_posterior(problem, theta), rel=1e-11)


@pytest.mark.parametrize("noise", NOISES)
def test_parts_that_are_one_array_are_stored_once(noise):
    separate = make_problem(3, (4, 4, 4), n_noise=4, noise=noise)
    X = separate.designs["expert"]
    one = separate.rows.__class__(dict.fromkeys(PARTS, X), separate.y, separate.weight)
    copies = replace(one, designs={part: X.copy() for part in PARTS})
    assert copies.tiles.X.size == 4 * one.tiles.X.size
    theta = np.random.default_rng(0).normal(size=separate.spec.n_parameters)
    found, expected = (Kernel(replace(separate, rows=rows))(theta) for rows in (one, copies))
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])


def test_integer_weights_are_repetitions():
    problem = make_problem(3, n=50)
    weight = np.random.default_rng(2).integers(0, 4, 50)
    theta = np.random.default_rng(0).normal(size=problem.spec.n_parameters)
    weighted = problem.reweighted(weight.astype(float))
    repeated = problem.take(np.arange(50).repeat(weight))
    one, other = Kernel(weighted)(theta), Kernel(repeated)(theta)
    assert one[0] == pytest.approx(other[0], rel=1e-12)
    np.testing.assert_allclose(one[1], other[1], rtol=1e-9, atol=1e-9)


def test_noise_stays_accurate_at_extreme_inputs():
    problem = make_problem(3, n=30, n_noise=2)
    problem.designs["noise"][:5] *= 1e6
    theta = np.random.default_rng(0).normal(size=problem.spec.n_parameters)
    value, gradient = Kernel(problem)(theta)
    assert value == pytest.approx(log_posterior(problem, theta), rel=1e-10)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("noise", NOISES)
def test_outliers_and_extreme_gates_stay_accurate(noise):
    problem = make_problem(3, n=30, noise=noise)
    problem.y[:3] = 1e3
    theta = np.random.default_rng(0).normal(size=problem.spec.n_parameters)
    theta[-8:] *= 60.0
    if noise == "student_t":
        theta[-1] = -3.0  # log of the degrees of freedom over 1
    value, gradient = Kernel(problem)(theta)
    assert value == pytest.approx(log_posterior(problem, theta), rel=1e-10)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("excess", [-600.0, -12.0, 20.0, 300.0])
def test_extreme_degrees_of_freedom(excess):
    """The log of the excess over 1: Cauchy or Normal noise."""
    problem, normal = (make_problem(3, n=30, noise=noise) for noise in ("student_t", "normal"))
    theta = np.random.default_rng(0).normal(size=problem.spec.n_parameters)
    theta[-1] = excess
    value, gradient = Kernel(problem)(theta)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    if excess >= 20.0:
        prior = problem.spec.priors["noise_df"].log_density(np.log, np.exp(excess)) + excess
        expected, slope = Kernel(normal)(theta[:-1])
        assert value == pytest.approx(expected + prior, rel=1e-7)
        np.testing.assert_allclose(gradient[:-1], slope, rtol=1e-5, atol=1e-5)


def test_softening_rounds_the_kink_and_vanishes():
    problem = make_problem(2)
    theta = np.zeros(problem.spec.n_parameters)
    kernel = Kernel(problem)
    exact = kernel(theta)[0]
    gaps = [exact - kernel.function(s)(theta)[0] for s in (1e-2, 1e-4)]
    assert gaps[0] == pytest.approx(100 * gaps[1], rel=1e-6)
    assert gaps[0] > 0


def test_vector_math_is_accurate_to_rounding():
    import numba

    @numba.njit
    def both(x, y, out_exp, out_log):
        for i in range(x.size):
            out_exp[i] = vector_math.exp(x[i])
            out_log[i] = vector_math.log(y[i])

    x = np.linspace(-707.9, 709.0, 200_001)
    y = np.concatenate([np.geomspace(3e-308, 1e308, 100_000), 1 + np.geomspace(1e-15, 1, 100_001)])
    e, logarithm = np.empty_like(x), np.empty_like(y)
    both(x, y, e, logarithm)
    np.testing.assert_allclose(e, np.exp(x), rtol=5e-16)
    np.testing.assert_allclose(logarithm, np.log(y), rtol=6e-16, atol=1e-300)


@pytest.mark.parametrize("n_experts", [1, 3])
def test_values_without_slopes_are_the_same(n_experts):
    kernel = Kernel(make_problem(n_experts))
    points = np.random.default_rng(0).normal(size=(2, 5, kernel.n_parameters))
    expected = [[kernel(point)[0] for point in row] for row in points]
    np.testing.assert_array_equal(kernel.log_posterior(points), expected)


_BITS = """
import numpy as np
from skcocoafuse import CoCoAFusERegressor

X = np.random.default_rng(0).normal(size=(150, 6))
y = np.abs(X[:, 0]) + X[:, 1:] @ np.arange(5.0) + np.sin(9.0 * X[:, 2])
model = CoCoAFusERegressor(3, inference="map", random_state=0).fit(X, y)
coef = model.posterior_.parameters.expert_coef
print(coef.tobytes().hex(), model.predict(X[:3]).tobytes().hex())
"""


def test_a_seed_gives_the_same_fit_compiled_or_loaded(tmp_path):
    """To the last bit: chains magnify a difference in rounding until they are different chains."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", _BITS]
    compiled, loaded = (
        subprocess.run(command, env=environment, check=True, capture_output=True) for _ in range(2)
    )
    assert any(tmp_path.rglob("*.nbc"))
    assert compiled.stdout == loaded.stdout
    assert b"compiles" in compiled.stderr
    assert loaded.stderr == b""  # nothing at all is compiled again
