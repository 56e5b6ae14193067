"""The parameters of a model: names, shapes, order, and the maps between their forms."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from skcocoafuse.model.priors import (
    DEFAULT_PRIORS,
    Prior,
    sample_sum_to_zero,
    sum_to_zero_basis,
)

_LEAST_EXCESS = 1e-6  # part of a variance that is left to noise when rounding explains all


class Parameters(NamedTuple):
    """Named parameters, with any number of leading axes for draws.

    Shapes after the draw axes, for M experts: ``expert_intercept`` (M,), ``expert_coef``
    (M, n_expert_features), ``sigma`` (M,), ``gate_intercept`` (M,), ``gate_coef``
    (M, n_gate_features), ``behavior_intercept`` (), ``behavior_coef``
    (n_behavior_features,). The last two are None where the behavior is fixed.
    """

    # numpy arrays, or PyTensor variables while a PyMC model is built
    expert_intercept: Any
    expert_coef: Any
    sigma: Any
    gate_intercept: Any
    gate_coef: Any
    behavior_intercept: Any = None
    behavior_coef: Any = None

    def map(self, function) -> "Parameters":
        """Apply ``function`` to every array that is there."""
        return Parameters(*(None if array is None else function(array) for array in self))

    def flatten_draws(self) -> "Parameters":
        """Join the leading axes (chains, draws) into one, chains after one another."""
        return self.map(lambda a: a.reshape(a.shape[0] * a.shape[1], *a.shape[2:]))

    def permute_experts(self, order) -> "Parameters":
        """Reorder the experts; ``order`` has the draw axes and then (M,)."""
        order = np.asarray(order)

        def vector(array):
            return np.take_along_axis(array, order, axis=-1)

        def matrix(array):
            return np.take_along_axis(array, order[..., None], axis=-2)

        return self._replace(
            expert_intercept=vector(self.expert_intercept),
            expert_coef=matrix(self.expert_coef),
            sigma=vector(self.sigma),
            gate_intercept=vector(self.gate_intercept),
            gate_coef=matrix(self.gate_coef),
        )


#: Names of the axes of every parameter, after the draw axes.
DIMS: dict[str, tuple[str, ...]] = {
    "expert_intercept": ("expert",),
    "expert_coef": ("expert", "expert_feature"),
    "sigma": ("expert",),
    "gate_intercept": ("expert",),
    "gate_coef": ("expert", "gate_feature"),
    "behavior_intercept": (),
    "behavior_coef": ("behavior_feature",),
}


def parameter_names(behavior: float | None) -> tuple[str, ...]:
    """Names of the parameters of a model whose behavior is learned (None) or fixed."""
    return tuple(name for name in DIMS if behavior is None or not name.startswith("behavior"))


class Block(NamedTuple):
    """One parameter inside the unconstrained vector.

    ``kind`` is "real", "positive" (the vector holds the logarithm) or "contrast" (the
    vector holds coordinates in the sum-to-zero basis, along the first axis).
    """

    name: str
    shape: tuple[int, ...]
    kind: str

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class ModelSpec:
    """Everything that fixes a model but the data.

    Parameters
    ----------
    n_experts : int
        Number of experts, M >= 1.
    n_expert_features, n_gate_features, n_behavior_features : int
        Columns of the three design matrices.
    behavior : float or None
        None where beta(x) is learned, 1.0 for a mixture, 0.0 for a blend of experts.
    priors : dict of str to Prior
        One for each name in ``DEFAULT_PRIORS``.
    rounding_variance : float, default=0.0
        What rounding the target added to its variance; every expert's s_i^2 is at least this.
    """

    n_experts: int
    n_expert_features: int
    n_gate_features: int
    n_behavior_features: int
    behavior: float | None = None
    priors: dict[str, Prior] = field(default_factory=lambda: dict(DEFAULT_PRIORS))
    rounding_variance: float = 0.0

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Parameters in the order of the unconstrained vector, empty ones included."""
        M, contrasts = self.n_experts, self.n_experts - 1
        blocks = [
            Block("expert_intercept", (M,), "real"),
            Block("expert_coef", (M, self.n_expert_features), "real"),
            Block("sigma", (M,), "positive"),
            Block("gate_intercept", (contrasts,), "contrast"),
            Block("gate_coef", (contrasts, self.n_gate_features), "contrast"),
        ]
        if self.behavior is None:
            blocks.append(Block("behavior_intercept", (), "real"))
            blocks.append(Block("behavior_coef", (self.n_behavior_features,), "real"))
        return tuple(blocks)

    @cached_property
    def n_parameters(self) -> int:
        """Length of the unconstrained vector."""
        return sum(block.size for block in self.blocks)

    @cached_property
    def basis(self) -> np.ndarray:
        """Sum-to-zero basis of the gates, (n_experts, n_experts - 1)."""
        return sum_to_zero_basis(self.n_experts)

    def unpack(self, theta: np.ndarray) -> Parameters:
        """Named parameters of unconstrained vectors ``theta``, shape (..., n_parameters)."""
        values, start = {}, 0
        for block in self.blocks:
            part = theta[..., start : start + block.size]
            part = part.reshape(theta.shape[:-1] + block.shape)
            if block.kind == "positive":
                part = np.sqrt(np.exp(2.0 * part) + self.rounding_variance)
            elif block.kind == "contrast" and len(block.shape) == 1:
                part = part @ self.basis.T
            elif block.kind == "contrast":
                part = self.basis @ part
            values[block.name] = part
            start += block.size
        return Parameters(**values)

    def pack(self, parameters: Parameters) -> np.ndarray:
        """Inverse of :meth:`unpack`; gates are projected on those that sum to zero.

        A ``sigma`` that rounding alone explains becomes a very small one without rounding.
        """
        lead = parameters.sigma.shape[:-1]
        parts = []
        for block in self.blocks:
            part = getattr(parameters, block.name)
            if block.kind == "positive":
                part = np.log(self._without_rounding(part))
            elif block.kind == "contrast" and len(block.shape) == 1:
                part = part @ self.basis
            elif block.kind == "contrast":
                part = self.basis.T @ part
            parts.append(np.reshape(part, (*lead, block.size)))
        return np.concatenate(parts, axis=-1)

    def _without_rounding(self, sigma: np.ndarray) -> np.ndarray:
        """What of ``sigma`` is noise, and has the prior."""
        return np.sqrt(np.maximum(sigma**2 - self.rounding_variance, _LEAST_EXCESS * sigma**2))

    # -- the prior -----------------------------------------------------------------------

    def sample_prior(self, rng: np.random.Generator, n_draws: int) -> Parameters:
        """Draws from the priors with one leading axis; gates sum to zero."""
        values = {}
        for block in self.blocks:
            prior = self.priors[block.name]
            if block.kind == "contrast":
                gates = sample_sum_to_zero(rng, prior, (n_draws, *block.shape[1:], self.n_experts))
                values[block.name] = np.moveaxis(gates, -1, 1)
            else:
                values[block.name] = prior.sample(rng, (n_draws, *block.shape))
        sigma = np.sqrt(values["sigma"] ** 2 + self.rounding_variance)
        return Parameters(**{**values, "sigma": sigma})

    def log_prior(self, parameters: Parameters) -> dict[str, np.ndarray]:
        """Log density of every parameter that has entries, by name; the draw axes are left.

        That of ``sigma`` is a density of the noise itself, not of its logarithm; that of the
        gates lacks the constant of their restriction to a sum of zero.
        """
        lead = parameters.sigma.ndim - 1
        densities = {}
        for block in self.blocks:
            if block.size:
                values = getattr(parameters, block.name)
                if block.kind == "positive":
                    values = self._without_rounding(values)
                each = self.priors[block.name].log_density(np.log, values)
                densities[block.name] = each.sum(axis=tuple(range(lead, each.ndim)))
        return densities
