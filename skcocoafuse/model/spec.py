"""The parameters of a model: names, shapes, order, and the maps between their forms."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from skcocoafuse._cached import cached_property
from skcocoafuse.model.parameters import (
    CONTRAST,
    DEFAULT_PRIORS,
    DF,
    LEAST_DF,
    NORMAL,
    PARAMETERS,
    SD,
    Parameter,
    Parameters,
    parameter_names,
)
from skcocoafuse.model.priors import POSITIVE, Prior, sample_sum_to_zero, sum_to_zero_basis

_LEAST_EXCESS = 1e-6  # of degrees of freedom, and share of a variance that rounding leaves to noise


class Block(NamedTuple):
    """One parameter inside the unconstrained vector, of this shape there."""

    name: str
    shape: tuple[int, ...]

    @property
    def row(self) -> Parameter:
        """Its row of the table of parameters."""
        return PARAMETERS[self.name]

    @property
    def constraint(self) -> str:
        """Its constraint, see :class:`Parameter`."""
        return self.row.constraint

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class ModelSpec:
    """Everything that determines a model except the data.

    Parameters
    ----------
    n_experts : int
        Number of experts, M >= 1.
    n_features : mapping of str to int
        Columns of the design matrix of each part.
    behavior : float or None
        None if beta(x) is learned, 1.0 for a mixture, 0.0 for a blend of experts.
    priors : dict of str to Prior
        One for each parameter, including those that the model does not have.
    rounding_variance : float, default=0.0
        Variance added by rounding the target; every expert's s_i^2 is at least this.
    noise : {"normal", "student_t"}, default="normal"
        Distribution of the noise around a fused expert.
    """

    n_experts: int
    n_features: Mapping[str, int]
    behavior: float | None = None
    priors: dict[str, Prior] = field(default_factory=lambda: dict(DEFAULT_PRIORS))
    rounding_variance: float = 0.0
    noise: str = NORMAL

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Parameters in the order of the unconstrained vector, empty ones included."""
        sizes, blocks = self.sizes, []
        for name in parameter_names(self.behavior, self.noise):
            row = PARAMETERS[name]
            first = [self.n_experts - 1] if row.constraint == CONTRAST else []
            shape = first + [sizes[axis] for axis in row.axes[len(first) :]]
            blocks.append(Block(name, tuple(shape)))
        return tuple(blocks)

    @property
    def sizes(self) -> dict[str, int]:
        """Length of every parameter axis."""
        features = {f"{part}_feature": n for part, n in self.n_features.items()}
        return {"expert": self.n_experts, **features}

    @cached_property
    def n_parameters(self) -> int:
        """Length of the unconstrained vector."""
        return sum(block.size for block in self.blocks)

    def most_experts(self, n_rows: float) -> int:
        """The most experts, at least one, with no more parameters than there are rows."""
        one, two = (replace(self, n_experts=m).n_parameters for m in (1, 2))
        return max(1, 1 + int((n_rows - one) // (two - one)))

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
            if block.row.role == SD:
                part = np.sqrt(np.exp(2.0 * part) + self.rounding_variance)
            elif block.constraint == POSITIVE:
                part = np.exp(part)
                if block.row.role == DF:
                    part = LEAST_DF + np.maximum(part, _LEAST_EXCESS)
            elif block.constraint == CONTRAST and len(block.shape) == 1:
                part = part @ self.basis.T
            elif block.constraint == CONTRAST:
                part = self.basis @ part
            values[block.name] = part
            start += block.size
        return Parameters(**values)

    def pack(self, parameters: Parameters) -> np.ndarray:
        """Inverse of :meth:`unpack`; gates are projected onto those that sum to zero.

        A ``sigma`` that rounding alone explains becomes a very small noise.
        """
        lead = parameters.sigma.shape[:-1]
        parts = []
        for block in self.blocks:
            part = self._with_the_prior(block, getattr(parameters, block.name))
            if block.constraint == POSITIVE:
                part = np.log(part)
            elif block.constraint == CONTRAST and len(block.shape) == 1:
                part = part @ self.basis
            elif block.constraint == CONTRAST:
                part = self.basis.T @ part
            parts.append(np.reshape(part, (*lead, block.size)))
        return np.concatenate(parts, axis=-1)

    def _with_the_prior(self, block: Block, values: np.ndarray) -> np.ndarray:
        """The part of the values that the prior is about: of ``sigma``, that which is noise."""
        if block.row.role == SD:
            least = _LEAST_EXCESS * values**2
            return np.sqrt(np.maximum(values**2 - self.rounding_variance, least))
        if block.row.role == DF:
            return np.maximum(values - LEAST_DF, _LEAST_EXCESS)
        return values

    # -- the prior -----------------------------------------------------------------------

    def sample_prior(self, rng: np.random.Generator, n_draws: int) -> Parameters:
        """Draws from the priors with one leading axis; gates sum to zero."""
        values = {}
        for block in self.blocks:
            prior = self.priors[block.name]
            if block.constraint == CONTRAST:
                gates = sample_sum_to_zero(rng, prior, (n_draws, *block.shape[1:], self.n_experts))
                values[block.name] = np.moveaxis(gates, -1, 1)
            else:
                values[block.name] = prior.sample(rng, (n_draws, *block.shape))
            if block.row.role == SD:
                values[block.name] = np.sqrt(values[block.name] ** 2 + self.rounding_variance)
            elif block.row.role == DF:
                values[block.name] = values[block.name] + LEAST_DF
        return Parameters(**values)

    def log_prior(self, parameters: Parameters) -> dict[str, np.ndarray]:
        """Log density of every parameter that has entries, by name; only draw axes remain.

        That of ``sigma`` is a density of the noise itself, not of its logarithm, that of
        ``noise_df`` of its excess; that of the gates omits the normalizing constant of the
        sum-to-zero restriction.
        """
        lead = parameters.sigma.ndim - 1
        densities = {}
        for block in self.blocks:
            if block.size:
                values = self._with_the_prior(block, getattr(parameters, block.name))
                each = self.priors[block.name].log_density(np.log, values)
                densities[block.name] = each.sum(axis=tuple(range(lead, each.ndim)))
        return densities
