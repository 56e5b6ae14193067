"""Climbing: ends are maxima, at least as high as another library's, and rule is kept."""

import numpy as np
import pytest
from scipy import optimize

from skcocoafuse import Prior
from skcocoafuse.compiled import lbfgs
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.compiled.lbfgs import StoppingRule
from skcocoafuse.inference import modes
from tests.problems import make_problem

TO_THE_TOP = StoppingRule(max_steps=2000, memory=30, least_gain=0.0)


def densities():
    """Smooth ones: with and without coordinates, one and several experts."""
    normal = {name: Prior("normal") for name in ("expert_coef", "gate_coef")}
    for n_experts in (1, 2, 3):
        kernel = Kernel(make_problem(n_experts, n=100, priors=normal))
        yield kernel, kernel.function(modes.SMOOTHING)
        yield kernel, kernel.function(modes.SMOOTHING, kernel.plain)


@pytest.mark.parametrize(("kernel", "density"), list(densities()))
def test_the_end_is_a_maximum(kernel, density):
    start = 0.3 * np.random.default_rng(0).normal(size=kernel.n_parameters)
    point, value = lbfgs.climb(density, start, TO_THE_TOP)
    at_point, gradient = density(point)
    assert value == at_point
    assert np.abs(gradient).max() <= 1e-4
    assert value > density(start)[0]
    width = 1e-4
    steps = width * np.random.default_rng(1).normal(size=(50, kernel.n_parameters))
    around, _ = density.at_many(point + steps)
    assert (around <= value + 1e-9 * abs(value)).all()


def test_one_expert_ends_where_scipy_does():
    """The posterior of one expert has one mode."""
    kernel = Kernel(make_problem(1, n=100))
    density = kernel.function(modes.SMOOTHING, kernel.plain)

    def negated(point):
        value, gradient = density(point)
        return -value, -gradient

    for seed in range(5):
        start = np.random.default_rng(seed).normal(size=kernel.n_parameters)
        point, value = lbfgs.climb(density, start, TO_THE_TOP)
        theirs = optimize.minimize(
            negated, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-8}
        )
        assert value == pytest.approx(-theirs.fun, abs=1e-8)
        np.testing.assert_allclose(point, theirs.x, atol=1e-5)


def test_it_never_goes_down_and_stops_when_told():
    kernel = Kernel(make_problem(3, n=100))
    density = kernel.function(modes.SMOOTHING, kernel.plain)
    start = np.random.default_rng(3).normal(size=kernel.n_parameters)
    values = [
        lbfgs.climb(density, start, StoppingRule(steps, memory=5, least_gain=0.0))[1]
        for steps in range(12)
    ]
    assert values[0] == density(start)[0]
    assert (np.diff(values) > 0).all()
    quick, _ = lbfgs.climb(density, start, StoppingRule(1000, memory=5, least_gain=1.0))
    assert density(quick)[0] < lbfgs.climb(density, start, TO_THE_TOP)[1]


def test_a_start_of_no_density_stays_where_it_is():
    kernel = Kernel(make_problem(2))
    start = np.full(kernel.n_parameters, 1e5)  # sigma overflows
    point, value = lbfgs.climb(kernel.function(), start, TO_THE_TOP)
    assert not np.isfinite(value)
    np.testing.assert_array_equal(point, start)


def test_the_start_is_not_changed():
    kernel = Kernel(make_problem(2))
    start = np.zeros(kernel.n_parameters)
    lbfgs.climb(kernel.function(modes.SMOOTHING), start, TO_THE_TOP)
    np.testing.assert_array_equal(start, 0.0)


def test_rows_of_points_are_evaluated_as_one_by_one():
    kernel = Kernel(make_problem(2))
    density = kernel.function()
    points = np.random.default_rng(0).normal(size=(4, kernel.n_parameters))
    values, gradients = density.at_many(points)
    for point, value, gradient in zip(points, values, gradients, strict=True):
        assert density(point)[0] == value
        np.testing.assert_array_equal(density(point)[1], gradient)
