"""Coordinates: a change of variables, there and back, that makes the posterior round."""

import ctypes

import numpy as np
import pytest

from skcocoafuse import Prior
from skcocoafuse.compiled.coordinates import Coordinates, laplace_transform_of
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.compiled.log_posterior import log_posterior_callback
from skcocoafuse.inference import mode_search, modes
from tests.problems import finite_difference, make_problem

PRIORS = {
    "laplace": {"expert_coef": Prior("laplace", scale=0.3, loc=-0.5)},
    "others": {"expert_coef": Prior("normal"), "gate_coef": Prior("student_t")},
}


def posed(n_experts, priors=None):
    problem = make_problem(n_experts, priors=priors)
    kernel, size = Kernel(problem), problem.spec.n_parameters
    rng = np.random.default_rng(n_experts)
    factor = np.tril(rng.normal(size=(size, size))) / 5
    np.fill_diagonal(factor, rng.uniform(0.2, 1.0, size=size))
    return kernel, Coordinates(rng.normal(size=size), factor, kernel.plain.laplace_transform), rng


@pytest.mark.parametrize("priors", PRIORS.values(), ids=PRIORS)
@pytest.mark.parametrize("n_experts", [1, 2, 3])
def test_the_density_is_that_of_a_change_of_variables(n_experts, priors):
    kernel, coordinates, rng = posed(n_experts, priors)
    function = kernel.function(coordinates=coordinates)
    for scale in (0.1, 1.0, 3.0):
        z = scale * rng.normal(size=kernel.n_parameters)
        value, gradient = function(z)
        expected = kernel(coordinates.to_theta(z))[0] + coordinates.log_jacobian(z)
        assert value == pytest.approx(expected, rel=1e-12)
        numeric = finite_difference(lambda at: function(at)[0], z, width=1e-6)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("n_experts", [1, 2, 3])
def test_there_and_back(n_experts):
    kernel, coordinates, rng = posed(n_experts, PRIORS["laplace"])
    z = 2.0 * rng.normal(size=(3, 4, kernel.n_parameters))
    theta = coordinates.to_theta(z)
    np.testing.assert_allclose(coordinates.from_theta(theta), z, atol=1e-9)
    np.testing.assert_allclose(
        kernel.plain.from_theta(theta), coordinates.transformed(z), atol=1e-9
    )
    jacobian = finite_difference(coordinates.to_theta, z[0, 0], width=1e-6)
    expected = coordinates.log_jacobian(z[0, 0]) + coordinates.log_volume
    assert np.linalg.slogdet(jacobian)[1] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n_experts", [1, 2])
def test_bending_takes_the_kinks_away(n_experts):
    """Without data the gradient jumps at 0 as a function of theta, and does not in u."""
    problem = make_problem(n_experts)
    problem.weight[:] = 0.0
    kernel = Kernel(problem)
    sides = [np.full(kernel.n_parameters, side) for side in (-1e-9, 1e-9)]
    laplace = kernel.plain.laplace_transform[:, 1] > 0
    assert laplace.sum() == kernel.n_parameters - n_experts  # all but sigma

    def jump(function):
        low, high = (function(side)[1][laplace] for side in sides)
        return np.abs(high - low).max()

    assert jump(kernel.function()) > 1.9
    assert jump(kernel.function(coordinates=kernel.plain)) < 1e-8


def test_gates_are_bent_with_two_experts_only():
    transform = laplace_transform_of(make_problem(2).spec)
    spec = make_problem(3).spec
    start = sum(block.size for block in spec.blocks[:3])
    gates = slice(start, start + spec.blocks[3].size + spec.blocks[4].size)
    assert (laplace_transform_of(spec)[gates] == 0).all()
    assert np.isclose(transform[:, 1], 1 / np.sqrt(2)).any()
    normal = make_problem(2, priors={"gate_coef": Prior("normal")}).spec
    assert (laplace_transform_of(normal)[:, 1] == 0).sum() > (transform[:, 1] == 0).sum()


def test_an_overflow_is_reported_to_the_sampler():
    kernel, coordinates, _ = posed(3)
    data, _arrays = kernel.user_data(0.0, coordinates)
    gradient, value = np.empty(kernel.n_parameters), np.empty(1)
    for z, expected in ((np.zeros(kernel.n_parameters), 0), (np.full(kernel.n_parameters, 1e5), 1)):
        pointers = [a.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for a in (z, gradient, value)]
        assert log_posterior_callback.ctypes(z.size, *pointers, data.ctypes.data) == expected


def test_round_coordinates_whiten_the_curvature():
    kernel = Kernel(make_problem(2, n=300))
    mode = mode_search.find_modes(kernel, np.random.default_rng(0))[0]
    coordinates = mode.normal
    function = kernel.function(1.0, kernel.plain)
    curvature = -modes.hessian(function, mode.point)
    white = coordinates.factor.T @ curvature @ coordinates.factor
    assert np.linalg.eigvalsh(curvature).min() > 0.1  # so nothing was floored
    np.testing.assert_allclose(white, np.eye(kernel.n_parameters), atol=1e-3)
    np.testing.assert_allclose(coordinates.to_theta(np.zeros(kernel.n_parameters)), mode.theta)


@pytest.mark.parametrize("n_draws", [1, 2, 50])
def test_entries_that_do_not_move_have_the_width_of_a_unit_prior(n_draws):
    """All of a chain that never moved, or some beside others."""
    rng = np.random.default_rng(0)
    u = np.full((n_draws, 3), [0.1, -5.0, 1e6])  # sums of the first are rounded
    transform = np.zeros((3, 2))
    for move in (0.0, 1e-9):
        u[:, 0] += move * rng.normal(size=n_draws)
        frame = Coordinates.around(u, transform)
        widths = np.sqrt(np.diag(frame.factor @ frame.factor.T) / (1.0 + 3 / n_draws))
        expected = u[:, 0].std(ddof=1) if move and n_draws > 1 else 1.0
        np.testing.assert_allclose(widths, [expected, 1.0, 1.0], rtol=1e-6)
        np.testing.assert_allclose(frame.to_theta(frame.from_theta(u)), u, rtol=1e-12)
