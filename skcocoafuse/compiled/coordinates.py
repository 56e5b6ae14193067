"""Coordinates in which the posterior is nearly a standard Normal.

Two maps, one after the other: z to u = centre + factor z, linear; and u to the parameters,
entry by entry. The second is for Laplace priors, whose kink stops optimizers and makes
leapfrog steps short, and whose heavy tails slow chains down: with

    theta = loc + scale (u + u |u| / 2)

the density of u is exp(-|u| - u^2 / 2) (1 + |u|), smooth at 0 and nearly Normal.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from skcocoafuse.compiled.affine import OPTIONS
from skcocoafuse.compiled.jit import njit
from skcocoafuse.model.parameters import CONTRAST
from skcocoafuse.model.priors import FAMILIES
from skcocoafuse.model.spec import ModelSpec


@dataclass(frozen=True)
class Coordinates:
    """theta = transform(centre + factor z).

    Parameters
    ----------
    centre : ndarray of shape (n_parameters,)
        In transformed coordinates u.
    factor : ndarray of shape (n_parameters, n_parameters)
        Lower triangular.
    laplace_transform : ndarray of shape (n_parameters, 2)
        Location and scale of each entry's Laplace prior; a scale of 0 leaves the entry as it is.
    """

    centre: np.ndarray
    factor: np.ndarray
    laplace_transform: np.ndarray

    @classmethod
    def plain(cls, laplace_transform: np.ndarray) -> "Coordinates":
        """The transformed coordinates u themselves."""
        size = len(laplace_transform)
        return cls(np.zeros(size), np.eye(size), laplace_transform)

    @classmethod
    def around(cls, u: np.ndarray, laplace_transform: np.ndarray) -> "Coordinates":
        """Coordinates in which draws u, (draws, n_parameters), have mean 0 and covariance 1.

        Entries that do not vary give no information on their width, and get that of a unit prior.
        """
        n_draws, size = u.shape
        covariance = np.atleast_2d(np.cov(u.T)) if n_draws > 1 else np.zeros((size, size))
        still = (np.ptp(u, axis=0) == 0.0) | (np.diag(covariance) == 0.0)
        covariance[still, :], covariance[:, still] = 0.0, 0.0
        covariance[still, still] = 1.0
        few = size / n_draws  # a covariance of few draws may be singular
        factor = np.linalg.cholesky(covariance + few * np.diag(np.diag(covariance)))
        return cls(u.mean(axis=0), factor, laplace_transform)

    def transformed(self, z: np.ndarray) -> np.ndarray:
        """Transformed coordinates u of coordinate vectors, (..., n_parameters)."""
        return self.centre + z @ self.factor.T

    def to_theta(self, z: np.ndarray) -> np.ndarray:
        """Parameters of coordinate vectors, (..., n_parameters)."""
        loc, scale = self.laplace_transform.T
        u = self.transformed(z)
        return np.where(scale > 0, loc + scale * (u + 0.5 * u * np.abs(u)), u)

    def from_theta(self, theta: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`to_theta`."""
        loc, scale = self.laplace_transform.T
        steps = (theta - loc) / np.where(scale > 0, scale, 1.0)
        u = np.sign(steps) * (np.sqrt(1.0 + 2.0 * np.abs(steps)) - 1.0)
        return self.from_transformed(np.where(scale > 0, u, theta))

    def from_transformed(self, u: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`transformed`."""
        flat = (u - self.centre).reshape(-1, u.shape[-1])
        z = linalg.solve_triangular(self.factor, flat.T, lower=True).T
        return np.ascontiguousarray(z).reshape(u.shape)

    def log_jacobian(self, z: np.ndarray) -> np.ndarray:
        """Log determinant of the derivative of theta with respect to u, (...)."""
        return np.log(self.widening(self.transformed(z))).sum(axis=-1)

    def widening(self, u: np.ndarray) -> np.ndarray:
        """Derivative of each parameter with respect to its transformed coordinate, as u."""
        scale = self.laplace_transform[:, 1]
        return np.where(scale > 0, scale * (1.0 + np.abs(u)), 1.0)

    @property
    def log_volume(self) -> float:
        """Log determinant of the derivative of u with respect to z."""
        return float(np.log(np.diag(self.factor)).sum())


def transforms_gates(spec: ModelSpec) -> bool:
    """Whether gates can be transformed entry by entry: beyond two experts priors are on sums."""
    return spec.n_experts == 2


def laplace_transform_of(spec: ModelSpec) -> np.ndarray:
    """Location and scale of the Laplace prior of every entry, (n_parameters, 2)."""
    rows = []
    for block in spec.blocks:
        prior = spec.priors[block.name]
        scale = prior.scale if FAMILIES[prior.family].has_kink else 0.0
        if block.constraint == CONTRAST:
            # both logits are an entry over sqrt(2), so |entry| counts twice
            scale = scale / math.sqrt(2.0) if transforms_gates(spec) else 0.0
        rows += [(prior.loc if scale else 0.0, scale)] * block.size
    return np.array(rows)


@njit(**OPTIONS)
def to_theta(centre, factor, laplace_transform, z, u, theta):
    """Fill u and theta for one z; return the log Jacobian of the second map."""
    n = z.size
    fours = n - n % 4
    for i in range(0, fours, 4):  # four rows at once, including the zeros in the corner
        a, b, c, d = factor[i], factor[i + 1], factor[i + 2], factor[i + 3]
        s0 = s1 = s2 = s3 = 0.0
        for j in range(i + 4):
            s0 += a[j] * z[j]
            s1 += b[j] * z[j]
            s2 += c[j] * z[j]
            s3 += d[j] * z[j]
        u[i], u[i + 1], u[i + 2], u[i + 3] = s0, s1, s2, s3
    for i in range(fours, n):
        row = factor[i]
        s0 = 0.0
        for j in range(n):
            s0 += row[j] * z[j]
        u[i] = s0
    log_jacobian = 0.0
    for i in range(n):
        u[i] += centre[i]
        theta[i] = u[i]
        loc, scale = laplace_transform[i, 0], laplace_transform[i, 1]
        if scale > 0.0:
            theta[i] = loc + scale * (u[i] + 0.5 * u[i] * abs(u[i]))
            log_jacobian += math.log(scale * (1.0 + abs(u[i])))
    return log_jacobian


@njit(**OPTIONS)
def pull_back(factor, laplace_transform, u, slope, gradient):
    """Gradient of log density plus log Jacobian along z; ``slope`` is along theta, then u."""
    n = slope.size
    for i in range(n):
        gradient[i] = 0.0
        if laplace_transform[i, 1] > 0.0:
            widening = 1.0 + abs(u[i])
            slope[i] = slope[i] * laplace_transform[i, 1] * widening + np.sign(u[i]) / widening
    fours = n - n % 4
    for i in range(0, fours, 4):
        a, b, c, d = factor[i], factor[i + 1], factor[i + 2], factor[i + 3]
        s0, s1, s2, s3 = slope[i], slope[i + 1], slope[i + 2], slope[i + 3]
        for j in range(i + 4):
            gradient[j] += (a[j] * s0 + b[j] * s1) + (c[j] * s2 + d[j] * s3)
    for i in range(fours, n):
        row = factor[i]
        for j in range(n):
            gradient[j] += row[j] * slope[i]
