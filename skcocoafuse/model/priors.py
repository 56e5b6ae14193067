"""Prior distributions as data: families, their parameters, and where each may be used."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

REAL = "real"
POSITIVE = "positive"


class Family(NamedTuple):
    """Everything the package knows about a prior family; its row in ``FAMILIES``.

    Parameters
    ----------
    support : {"real", "positive"}
    arguments : tuple of str
        Arguments of :class:`Prior` that the family has.
    log_density : callable
        ``log_density(log, x, prior)`` for numpy and PyTensor, with every constant.
    entry : callable
        ``entry(x, loc, scale, df, smoothing)`` for machine code: log density of one number of the
        unconstrained vector without its constant, and its derivative. For families of positive
        numbers ``x`` is the logarithm, and the Jacobian is included. A kink is smoothed if
        ``smoothing`` is above 0.
    sample : callable
        ``sample(rng, prior, size)``, an ndarray.
    variable : callable
        ``variable(pm, name, prior, dims)``, the variable of a PyMC model.
    has_kink : bool
        Whether the density of ``(x - loc) / scale`` is that of a Laplace distribution, which
        the coordinates of samplers transform.
    """

    support: str
    arguments: tuple[str, ...]
    log_density: Callable[..., Any]
    entry: Callable[..., tuple[float, float]]
    sample: Callable[..., np.ndarray]
    variable: Callable[..., Any]
    has_kink: bool = False


def _laplace(log, x, p):
    return -abs((x - p.loc) / p.scale) - math.log(2.0 * p.scale)


def _laplace_entry(x, loc, scale, df, smoothing):
    z = (x - loc) / scale
    r = math.sqrt(z * z + smoothing * smoothing)
    return -r, (-z / (r * scale) if r > 0.0 else 0.0)


def _normal(log, x, p):
    return -0.5 * ((x - p.loc) / p.scale) ** 2 - math.log(p.scale * math.sqrt(2.0 * math.pi))


def _normal_entry(x, loc, scale, df, smoothing):
    z = (x - loc) / scale
    return -0.5 * z * z, -z / scale


def _student_t(log, x, p):
    half = 0.5 * (p.df + 1.0)
    constant = math.lgamma(half) - math.lgamma(0.5 * p.df)
    constant -= 0.5 * math.log(p.df * math.pi) + math.log(p.scale)
    return constant - half * log(1.0 + ((x - p.loc) / p.scale) ** 2 / p.df)


def _student_t_entry(x, loc, scale, df, smoothing):
    z = (x - loc) / scale
    value = -0.5 * (df + 1.0) * math.log1p(z * z / df)
    return value, -(df + 1.0) * z / ((df + z * z) * scale)


def _lognormal(log, x, p):
    log_x = log(x)
    return _normal(log, log_x, p) - log_x


def _half_normal(log, x, p):
    return _normal(log, x, p) + math.log(2.0)


def _half_normal_entry(x, loc, scale, df, smoothing):
    q = np.exp(x) / scale  # Python's math.exp raises an error where machine code gives infinity
    return x - 0.5 * q * q, 1.0 - q * q


def _flat(log, x, p):
    # logistic: the logit of a number that is uniform on (0, 1), without overflow on either side
    return -abs(x) - 2.0 * log(1.0 + np.exp(-abs(x)))


def _flat_entry(x, loc, scale, df, smoothing):
    return -abs(x) - 2.0 * math.log1p(math.exp(-abs(x))), -math.tanh(0.5 * x)


#: All families, by name; their order is that of their codes in machine code.
FAMILIES: dict[str, Family] = {
    "laplace": Family(
        REAL,
        ("loc", "scale"),
        _laplace,
        _laplace_entry,
        lambda rng, p, size: rng.laplace(p.loc, p.scale, size=size),
        lambda pm, name, p, dims: pm.Laplace(name, mu=p.loc, b=p.scale, dims=dims),
        has_kink=True,
    ),
    "normal": Family(
        REAL,
        ("loc", "scale"),
        _normal,
        _normal_entry,
        lambda rng, p, size: rng.normal(p.loc, p.scale, size=size),
        lambda pm, name, p, dims: pm.Normal(name, mu=p.loc, sigma=p.scale, dims=dims),
    ),
    "student_t": Family(
        REAL,
        ("loc", "scale", "df"),
        _student_t,
        _student_t_entry,
        lambda rng, p, size: p.loc + p.scale * rng.standard_t(p.df, size=size),
        lambda pm, name, p, dims: pm.StudentT(name, nu=p.df, mu=p.loc, sigma=p.scale, dims=dims),
    ),
    "lognormal": Family(
        POSITIVE,
        ("loc", "scale"),
        _lognormal,
        _normal_entry,  # of the logarithm
        lambda rng, p, size: rng.lognormal(p.loc, p.scale, size=size),
        lambda pm, name, p, dims: pm.LogNormal(name, mu=p.loc, sigma=p.scale, dims=dims),
    ),
    "half_normal": Family(
        POSITIVE,
        ("scale",),
        _half_normal,
        _half_normal_entry,
        lambda rng, p, size: abs(rng.normal(0.0, p.scale, size=size)),
        lambda pm, name, p, dims: pm.HalfNormal(name, sigma=p.scale, dims=dims),
    ),
    "flat": Family(
        REAL,
        (),
        _flat,
        _flat_entry,
        lambda rng, p, size: rng.logistic(size=size),
        lambda pm, name, p, dims: pm.Logistic(name, mu=0.0, s=1.0, dims=dims),
    ),
}
FAMILY_CODES = {name: code for code, name in enumerate(FAMILIES)}


@dataclass(frozen=True)
class Prior:
    """A prior for every entry of one parameter, on the standardized scale.

    Parameters
    ----------
    family : {"laplace", "normal", "student_t", "lognormal", "half_normal", "flat"}
        Name of the distribution. ``"flat"`` is for ``behavior_intercept`` only: it makes beta
        uniform on (0, 1) where all behavior features are at their mean. A flat prior on slopes
        has no proper posterior, because the likelihood does not vanish as they grow.
    scale : float, default=1.0
        Scale parameter, > 0; for ``"lognormal"``, the standard deviation of the logarithm.
    loc : float, default=0.0
        Location; for ``"lognormal"``, the mean of the logarithm. ``"half_normal"`` has none.
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
        known = FAMILIES[self.family].arguments
        for name, nothing in (("loc", 0.0), ("scale", 1.0)):
            value = getattr(self, name)
            if name not in known and value != nothing:
                raise ValueError(
                    f"A {self.family} prior has no {name}; got {name}={value!r}. Leave it out."
                )

    def log_density(self, log, x):
        """Log density at ``x``; ``log`` is the logarithm function of x's library."""
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

    On that plane, as a function of its first ``size[-1] - 1`` coordinates, the density is
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
    # The rejection step treats all coordinates alike, so no final shuffle is needed.
    return rows.reshape(size)
