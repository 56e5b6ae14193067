"""Predictive mixtures of rows, one for each draw of the parameters, as numpy arrays."""

import numpy as np

from skcocoafuse.model import forward
from skcocoafuse.model.chunks import map_chunks
from skcocoafuse.model.parameters import Parameters
from skcocoafuse.model.spec import ModelSpec


def beta_of(spec: ModelSpec, parameters: Parameters, X_behavior):
    """beta(x) of every draw, (..., rows, 1), or its fixed value."""
    if spec.behavior is not None:
        return spec.behavior
    return forward.behavior(forward.NUMPY, parameters, X_behavior)


def mixture_of(spec: ModelSpec, parameters: Parameters, designs) -> forward.Components:
    """The fused mixture of every draw and row, on the standardized scale."""
    parameters = forward.draws_innermost(parameters)
    beta = beta_of(spec, parameters, designs["behavior"])
    return forward.components(forward.NUMPY, parameters, designs, beta, spec.rounding_variance)


def random_targets(rng: np.random.Generator, spec: ModelSpec, parameters: Parameters, designs):
    """A random target of every draw and row, (draws, rows), on the standardized scale."""
    out = np.empty((len(parameters.sigma), len(designs["expert"])))

    def draw(rows, part):
        out[:, rows] = forward.random_values(rng, mixture_of(spec, parameters, part))

    map_chunks(draw, designs, parameters.sigma.size)
    return out


def unfused_mixture(spec: ModelSpec, parameters: Parameters, designs) -> forward.Components:
    """The mixture of every draw and row before fusion, in which experts differ whatever beta is."""
    parameters = forward.draws_innermost(parameters)
    return forward.components(forward.NUMPY, parameters, designs, 1.0, spec.rounding_variance)
