"""Prior distributions as data: a family, a scale, and where each may be used."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

REAL = "real"
POSITIVE = "positive"


class Family(NamedTuple):
    """What the package knows of a prior family.

    ``log_density(log, x, prior)`` is written once for numpy and PyTensor, and includes
    every constant. ``sample(rng, prior, size)`` draws from it. ``code`` names the
    family inside compiled code.
    """

    code: int
    support: str
    log_density: Callable[..., Any]
    sample: Callable[..., np.ndarray]


def _laplace(log, x, p):
    return -abs((x - p.loc) / p.scale) - math.log(2.0 * p.scale)


def _normal(log, x, p):
    return -0.5 * ((x - p.loc) / p.scale) ** 2 - math.log(p.scale * math.sqrt(2.0 * math.pi))


def _student_t(log, x, p):
    half = 0.5 * (p.df + 1.0)
    constant = math.lgamma(half) - math.lgamma(0.5 * p.df)
    constant -= 0.5 * math.log(p.df * math.pi) + math.log(p.scale)
    return constant - half * log(1.0 + ((x - p.loc) / p.scale) ** 2 / p.df)


def _lognormal(log, x, p):
    log_x = log(x)
    return _normal(log, log_x, p) - log_x


def _half_normal(log, x, p):
    return _normal(log, x, p) + math.log(2.0)


def _flat(log, x, p):
    # logistic: the logit of a number that is uniform on (0, 1), without overflow on either side
    return -abs(x) - 2.0 * log(1.0 + np.exp(-abs(x)))


FAMILIES: dict[str, Family] = {
    "laplace": Family(
        0, REAL, _laplace, lambda rng, p, size: rng.laplace(p.loc, p.scale, size=size)
    ),
    "normal": Family(1, REAL, _normal, lambda rng, p, size: rng.normal(p.loc, p.scale, size=size)),
    "student_t": Family(
        2,
        REAL,
        _student_t,
        lambda rng, p, size: p.loc + p.scale * rng.standard_t(p.df, size=size),
    ),
    "lognormal": Family(
        3, POSITIVE, _lognormal, lambda rng, p, size: rng.lognormal(p.loc, p.scale, size=size)
    ),
    "half_normal": Family(
        4, POSITIVE, _half_normal, lambda rng, p, size: abs(rng.normal(0.0, p.scale, size=size))
    ),
    "flat": Family(5, REAL, _flat, lambda rng, p, size: rng.logistic(size=size)),
}
FAMILY_CODES = {name: family.code for name, family in FAMILIES.items()}


@dataclass(frozen=True)
class Prior:
    """A prior for every entry of one parameter, on the standardised scale.

    Parameters
    ----------
    family : {"laplace", "normal", "student_t", "lognormal", "half_normal", "flat"}
        Name of the distribution. ``"flat"`` is for ``behavior_intercept`` only: it makes beta
        uniform on (0, 1) where all behavior features are at their mean. A flat prior on slopes
        has no proper posterior, because the likelihood does not vanish as they grow.
    scale : float, default=1.0
        Scale parameter, > 0; for ``"lognormal"`` the standard deviation of the logarithm.
    loc : float, default=0.0
        Location; for ``"lognormal"`` the mean of the logarithm. ``"half_normal"`` has none.
    df : float, default=4.0
        Degrees of freedom of ``"student_t"``; ignored by the others.

    Raises
    ------
    ValueError
        If the family is unknown, or a number is out of range.

    Examples
    --------
    >>> from skcocoafuse import Prior
    >>> Prior("normal", scale=2.0)
    Prior(family='normal', scale=2.0, loc=0.0, df=4.0)
    """

    family: str
    scale: float = 1.0
    loc: float = 0.0
    df: float = 4.0

    def __post_init__(self):
        if self.family not in FAMILIES:
            raise ValueError(
                f"Prior family must be one of {sorted(FAMILIES)}; got {self.family!r}."
            )
        for name in ("scale", "df"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"Prior {name} must be positive and finite; got {value!r}.")
        if not np.isfinite(self.loc):
            raise ValueError(f"Prior loc must be finite; got {self.loc!r}.")
        if self.family == "half_normal" and self.loc != 0:
            raise ValueError(f"A half_normal prior has no loc; got loc={self.loc!r}, leave it 0.")
        if self.family == "flat" and (self.loc, self.scale) != (0.0, 1.0):
            raise ValueError(
                f"A flat prior has no loc and no scale; got loc={self.loc!r}, "
                f"scale={self.scale!r}, leave them out."
            )

    def log_density(self, log, x):
        """Log density at ``x``; ``log`` is the logarithm of x's own library."""
        return FAMILIES[self.family].log_density(log, x, self)

    def sample(self, rng, size):
        """Draw an array of shape ``size`` with the numpy generator ``rng``."""
        return FAMILIES[self.family].sample(rng, self, size)

    @property
    def support(self) -> str:
        """``"real"`` or ``"positive"``."""
        return FAMILIES[self.family].support


def sum_to_zero_basis(n_experts: int) -> np.ndarray:
    """Orthonormal basis (n_experts, n_experts - 1) of the vectors that sum to zero."""
    basis = np.zeros((n_experts, n_experts - 1))
    for k in range(n_experts - 1):
        norm = math.sqrt((k + 1.0) * (k + 2.0))
        basis[: k + 1, k] = 1.0 / norm
        basis[k + 1, k] = -(k + 1.0) / norm
    return basis


def sample_sum_to_zero(rng: np.random.Generator, prior: Prior, size: tuple[int, ...]):
    """Draw vectors from ``prior`` on each entry, restricted to those that sum to zero.

    On that plane, seen through its first ``size[-1] - 1`` coordinates, the density is
    prod_i f(g_i) f(-sum_i g_i). Drawing the g_i from f and accepting with probability
    f(-sum g_i) / f(0) is exact for every symmetric f with its mode at zero.

    Parameters
    ----------
    rng : numpy.random.Generator
    prior : Prior
        Symmetric about 0.
    size : tuple of int
        Shape of the result; the last axis is the one that sums to zero.

    Returns
    -------
    ndarray of shape ``size``
    """
    n, n_experts = math.prod(size[:-1]), size[-1]
    rows = np.empty((n, n_experts))
    peak = prior.log_density(np.log, 0.0)
    filled = 0
    while filled < n:
        free = prior.sample(rng, (2 * (n - filled) + 8, n_experts - 1))
        last = -free.sum(axis=1)
        accepted = np.log(rng.uniform(size=last.size)) < prior.log_density(np.log, last) - peak
        found = np.column_stack([free, last])[accepted][: n - filled]
        rows[filled : filled + len(found)] = found
        filled += len(found)
    # The rejection step privileges no coordinate, so no final shuffle is needed.
    return rows.reshape(size)
