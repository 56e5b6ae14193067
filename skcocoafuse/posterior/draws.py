"""Posterior draws as plain numpy arrays."""

from dataclasses import dataclass

import numpy as np

from skcocoafuse.model import forward
from skcocoafuse.model.spec import ModelSpec, Parameters


@dataclass(frozen=True)
class Posterior:
    """Draws on the standardised scale, experts consistently labelled.

    Parameters
    ----------
    spec : ModelSpec
        What was assumed.
    parameters : Parameters
        Arrays with the leading axes (chains, draws).
    log_posterior : ndarray of shape (chains, draws)
    stats : dict of str to ndarray of shape (chains, draws)
        Sampler statistics (``diverging``, ``tree_depth``, ``n_steps``), where there are any.
    """

    spec: ModelSpec
    parameters: Parameters
    log_posterior: np.ndarray
    stats: dict[str, np.ndarray]

    @property
    def n_chains(self) -> int:
        """Number of chains."""
        return self.log_posterior.shape[0]

    @property
    def n_draws(self) -> int:
        """Draws per chain."""
        return self.log_posterior.shape[1]

    def flat(self) -> Parameters:
        """Parameters with one draw axis, chains after one another."""
        return self.parameters.flatten_draws()


def beta_of(spec: ModelSpec, parameters: Parameters, X_behavior):
    """beta(x) of every draw, (..., rows, 1), or the number it is fixed at."""
    if spec.behavior is not None:
        return spec.behavior
    return forward.behavior(forward.NUMPY, parameters, X_behavior)


def mixture_of(spec: ModelSpec, parameters: Parameters, designs) -> forward.Components:
    """The fused mixture of every draw and row, on the standardised scale."""
    beta = beta_of(spec, parameters, designs["behavior"])
    return forward.components(forward.NUMPY, parameters, designs["expert"], designs["gate"], beta)


def unfused_log_density(parameters: Parameters, designs, y) -> np.ndarray:
    """Log a_i + log N(y; mu_i, s_i^2), (..., rows, M): what tells experts apart at any beta."""
    mixture = forward.components(forward.NUMPY, parameters, designs["expert"], designs["gate"], 1.0)
    return forward.component_log_density(forward.NUMPY, mixture, y)
