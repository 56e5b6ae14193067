"""The mixtures that draws of the parameters make of rows, as numpy arrays."""

import numpy as np

from skcocoafuse.model import forward
from skcocoafuse.model.chunks import map_chunks
from skcocoafuse.model.parameters import Parameters
from skcocoafuse.model.spec import ModelSpec


def beta_of(spec: ModelSpec, parameters: Parameters, X_behavior):
    """beta(x) of every draw, (..., rows, 1), or the number it is fixed at."""
    if spec.behavior is not None:
        return spec.behavior
    return forward.behavior(forward.NUMPY, parameters, X_behavior)


def mixture_of(spec: ModelSpec, parameters: Parameters, designs) -> forward.Components:
    """The fused mixture of every draw and row, on the standardised scale."""
    parameters = forward.draws_innermost(parameters)
    beta = beta_of(spec, parameters, designs["behavior"])
    return forward.components(forward.NUMPY, parameters, designs["expert"], designs["gate"], beta)


def random_targets(rng: np.random.Generator, spec: ModelSpec, parameters: Parameters, designs):
    """A random target of every draw and row, (draws, rows), on the standardised scale."""
    out = np.empty((len(parameters.sigma), len(designs["expert"])))

    def draw(rows, part):
        out[:, rows] = forward.random_values(rng, mixture_of(spec, parameters, part))

    map_chunks(draw, designs, parameters.sigma.size)
    return out


def unfused_mixture(parameters: Parameters, designs) -> forward.Components:
    """The experts themselves, which differ at any beta, as a mixture of every draw and row."""
    parameters = forward.draws_innermost(parameters)
    return forward.components(forward.NUMPY, parameters, designs["expert"], designs["gate"], 1.0)
