r"""The forward computation: gate, behavior, fusion and density, defined only here.

Written once for numpy arrays with leading draw axes and for PyTensor variables: leading
axes are draws, rows are axis -2, experts axis -1, and nothing squeezes. The model is

.. math::

    p(y \mid x) &= \sum_i a_i \, f(y;\, m_i, v_i), \\
    m_i &= \beta \mu_i + (1 - \beta) \sum_j a_j \mu_j, \qquad
    v_i = \beta s_i^2 + (1 - \beta) \sum_j a_j s_j^2,

with everything depending on x and f a Normal density; see Raffa Ugolini, Tanelli and Breschi,
"CoCoAFusE: Beyond Mixtures of Experts via Model Fusion", arXiv 2505.01105. That the
blend is linear in means and variances is this project's reading of the paper. The paper's
:math:`s_i` are constant; here they may depend on inputs, see :func:`expert_variances`, and f may be
Student's t with scale :math:`\sqrt{v_i}`, see :func:`log_constant`.
"""

import math
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from skcocoafuse.model.parameters import Parameters

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
#: Largest absolute log ratio of an expert's noise at a row to that at average inputs: at most 55
#: times as large, about ten times the range of the data where an expert leaves half of the target's
#: standard deviation to noise. In the data ratios are small: a tenfold one, 1.15 on either side of
#: the average, becomes 9.1.
MAX_LOG_RATIO = 4.0
#: Of r . x: there the log ratio is at its bound, to rounding.
FLAT = 1e8
_FARTHEST = 1e70  # of a standardized target; its square divided by a variance does not overflow


class Ops(NamedTuple):
    """The few functions whose names depend on the array library."""

    exp: Callable[[Any], Any]
    log: Callable[[Any], Any]
    log1p: Callable[[Any], Any]
    clip: Callable[[Any, float, float], Any]
    expit: Callable[[Any], Any]
    log_softmax: Callable[[Any], Any]  # over the last axis
    logsumexp: Callable[[Any], Any]  # over the last axis
    linear: Callable[[Any, Any], Any]  # X @ coef.mT


def logsumexp(x: np.ndarray) -> np.ndarray:
    """Log sum exp over a short last axis, several times faster than the general function."""
    peak = reduce(np.maximum, (x[..., k] for k in range(x.shape[-1])))
    total = sum(np.exp(x[..., k] - peak) for k in range(x.shape[-1]))
    return peak + np.log(total)


def linear(X: np.ndarray, coef: np.ndarray) -> np.ndarray:
    """X @ coef.mT with experts outermost in memory and draws innermost.

    All arithmetic that follows keeps this order if the parameters have it too
    (:func:`draws_innermost`), and then runs over long contiguous axes: experts are few, draws many.
    """
    *draws, n_experts, n_columns = coef.shape
    flat = coef.reshape(math.prod(draws), n_experts, n_columns)
    out = np.empty((n_experts, len(X), len(flat)))
    for k in range(n_experts):
        np.matmul(X, flat[:, k].T, out=out[k])
    return out.transpose(2, 1, 0).reshape(*draws, len(X), n_experts)


NUMPY = Ops(
    exp=np.exp,
    log=np.log,
    log1p=np.log1p,
    clip=np.clip,
    expit=special.expit,
    log_softmax=lambda x: x - logsumexp(x)[..., None],
    logsumexp=logsumexp,
    linear=linear,
)


class Components(NamedTuple):
    """A mixture per row: log weights, means and variances, (..., rows, experts).

    Of Normals if ``df`` is None, else of Student's t with these degrees of freedom, (..., 1, 1),
    and squared scales in place of variances.
    """

    log_weight: Any
    mean: Any
    variance: Any
    df: Any = None


def draws_innermost(parameters: Parameters) -> Parameters:
    """The same arrays, in the memory order of :func:`linear`."""
    n = parameters.sigma.ndim - 1

    def moved(a):
        first, last = range(n), range(a.ndim - n, a.ndim)
        return np.moveaxis(np.asarray(np.moveaxis(a, first, last), order="C"), last, first)

    return parameters.map(moved)


def affine(ops: Ops, X, intercept, coef):
    """Intercept + coef . x for every row: (rows, d), (..., M), (..., M, d) -> (..., rows, M)."""
    return ops.linear(X, coef) + intercept[..., None, :]


def expert_means(ops: Ops, parameters: Parameters, X_expert):
    """mu_i(x), shape (..., rows, M)."""
    return affine(ops, X_expert, parameters.expert_intercept, parameters.expert_coef)


def log_gate(ops: Ops, parameters: Parameters, X_gate):
    """Log a_i(x), shape (..., rows, M)."""
    return ops.log_softmax(affine(ops, X_gate, parameters.gate_intercept, parameters.gate_coef))


def behavior(ops: Ops, parameters: Parameters, X_behavior):
    """Learned beta(x), shape (..., rows, 1)."""
    h, u = parameters.behavior_intercept, parameters.behavior_coef
    logit = affine(ops, X_behavior, h[..., None], u[..., None, :])
    return ops.expit(logit)


def expert_variances(ops: Ops, parameters: Parameters, X_noise, rounding_variance: float = 0.0):
    r"""s_i(x)^2, shape (..., rows, M), or (..., 1, M) if the noise has no inputs.

    .. math:: \log \frac{s_i(x)}{s_i} = \frac{t}{\sqrt{1 + t^2 / c^2}}, \qquad t = r_i^T x,

    is t where that is small compared with c = ``MAX_LOG_RATIO``, and bounded far outside of the
    data, where the exponential of a linear function would explode. Rounding of the target adds the
    same variance everywhere.
    """
    constant = (parameters.sigma**2)[..., None, :]
    if X_noise is None or X_noise.shape[1] == 0:
        return constant
    t = ops.clip(ops.linear(X_noise, parameters.noise_coef), -FLAT, FLAT)
    log_ratio = t / (1.0 + (t / MAX_LOG_RATIO) ** 2) ** 0.5
    return rounding_variance + (constant - rounding_variance) * ops.exp(2.0 * log_ratio)


def fuse(ops: Ops, log_a, mu, variance, beta) -> Components:
    """Move every expert from itself (beta = 1) to the blend of all (beta = 0).

    Parameters
    ----------
    log_a, mu : (..., rows, M)
    variance : (..., rows or 1, M)
    beta : (..., rows, 1) or a number
    """
    if isinstance(beta, float) and beta == 1.0:
        return Components(log_a, mu, variance)
    a = ops.exp(log_a)
    blend_mean = (a * mu).sum(axis=-1, keepdims=True)
    blend_variance = (a * variance).sum(axis=-1, keepdims=True)
    return Components(
        log_a,
        beta * mu + (1.0 - beta) * blend_mean,
        beta * variance + (1.0 - beta) * blend_variance,
    )


def components(
    ops: Ops, parameters: Parameters, designs, beta, rounding_variance: float
) -> Components:
    """The predictive mixture of every row, given beta as :func:`behavior` returns it.

    ``designs`` has the design matrices by part; that of the noise may be None.
    """
    fused = fuse(
        ops,
        log_gate(ops, parameters, designs["gate"]),
        expert_means(ops, parameters, designs["expert"]),
        expert_variances(ops, parameters, designs["noise"], rounding_variance),
        beta,
    )
    df = parameters.noise_df
    return fused if df is None else fused._replace(df=df[..., None, None])


def log_constant(log, df):
    r"""Log density at its mean of Student's t with scale 1.

    .. math::

        t(z) = \frac{\Gamma((\nu + 1) / 2)}{\Gamma(\nu / 2) \sqrt{\pi \nu}}
               \left(1 + \frac{z^2}{\nu}\right)^{-(\nu + 1) / 2}.

    The ratio of Gamma functions by eight steps of their recursion, then Stirling's series: accurate
    to rounding however large nu is. ``log`` is the logarithm function of the argument's library.
    """
    x, log_ratio = 0.5 * df, 0.0
    for _ in range(8):
        log_ratio = log_ratio - log(1.0 + 0.5 / x)
        x = x + 1.0
    s = 1.0 / (x * x)
    series = (1 / 8 - (1 / 192 - (1 / 640 - (17 / 14336 - 31 / 18432 * s) * s) * s) * s) / x
    return log_ratio + 0.5 * log(x / (math.pi * df)) - series


def log_constant_slope(df):
    """Derivative of :func:`log_constant`."""
    x, slope = 0.5 * df, 0.0
    for _ in range(8):
        slope = slope + 0.5 / (x * (x + 0.5))
        x = x + 1.0
    s = 1.0 / (x * x)
    series = (1 / 8 - (1 / 64 - (1 / 128 - (17 / 2048 - 31 / 2048 * s) * s) * s) * s) * s
    return 0.5 * (slope + 0.5 / x + series) - 0.5 / df


def component_log_density(ops: Ops, mixture: Components, y):
    """Log a_i + log f(y; m_i, v_i), shape (..., rows, M), for y of shape (rows,)."""
    error = y[..., None] - mixture.mean
    height = mixture.log_weight - 0.5 * ops.log(mixture.variance)
    if mixture.df is None:
        return height - 0.5 * error**2 / mixture.variance - _HALF_LOG_2PI
    far = ops.log1p(error**2 / (mixture.variance * mixture.df))
    return height - 0.5 * (mixture.df + 1.0) * far + log_constant(ops.log, mixture.df)


def log_density(ops: Ops, mixture: Components, y):
    """Log p(y | x) of every row, shape (..., rows)."""
    return ops.logsumexp(component_log_density(ops, mixture, y))


def responsibilities(mixture: Components, y) -> np.ndarray:
    """Probability that each component produced y, (..., rows, M), for y of shape (rows,).

    Exponents are taken relative to the nearest component before anything is added, so rows sum to
    one however far away y is; values whose squares would overflow, including infinity, are
    clipped.
    """
    y = np.clip(y, -_FARTHEST, _FARTHEST)
    if mixture.df is None:
        distance = (y[..., None] - mixture.mean) ** 2 / mixture.variance
        distance -= distance.min(axis=-1, keepdims=True)
        terms = mixture.log_weight - 0.5 * (distance + np.log(mixture.variance))
    else:  # logarithms of distances, which are not large
        terms = component_log_density(NUMPY, mixture, y)
    return np.exp(NUMPY.log_softmax(terms))


def probability_below(mixture: Components, y):
    """P(Y <= y) of every row, (..., rows), for y of shape (rows,)."""
    z = (y[..., None] - mixture.mean) / np.sqrt(mixture.variance)
    if mixture.df is None:
        below = special.ndtr(z)
    else:
        below = special.stdtr(mixture.df, z)
    return (np.exp(mixture.log_weight) * below).sum(axis=-1)


def random_values(rng: np.random.Generator, mixture: Components) -> np.ndarray:
    """A random value of every mixture, (..., rows)."""
    noise = rng.gumbel(size=np.shape(mixture.log_weight))
    chosen = np.argmax(mixture.log_weight + noise, axis=-1)[..., None]
    mean = np.take_along_axis(mixture.mean, chosen, axis=-1)[..., 0]
    variance = np.broadcast_to(mixture.variance, np.shape(mixture.mean))
    scale = np.sqrt(np.take_along_axis(variance, chosen, axis=-1)[..., 0])
    if mixture.df is None:
        return rng.normal(mean, scale)
    return mean + scale * rng.standard_t(np.broadcast_to(mixture.df[..., 0], scale.shape))


def mean_and_variance_parts(mixture: Components):
    """Mean of every row's mixture, and the noise and between-expert parts of its variance.

    By the law of total variance, Var = sum a_i v_i + sum a_i (m_i - mean)^2, which is
    vbar + beta^2 sum a_i (mu_i - mbar)^2 in terms of the unfused experts. Each (..., rows). With
    Student's t the noise is measured by squared scales: its variance may be infinite.
    """
    a = np.exp(mixture.log_weight)
    mean = (a * mixture.mean).sum(axis=-1)
    noise = (a * mixture.variance).sum(axis=-1)
    between = (a * (mixture.mean - mean[..., None]) ** 2).sum(axis=-1)
    return mean, noise, between


def mean_and_variance(mixture: Components):
    """Mean and variance of every row's mixture, each (..., rows); see above on Student's t."""
    mean, noise, between = mean_and_variance_parts(mixture)
    return mean, noise + between


def mean_slopes(parameters: Parameters, X_expert, X_gate):
    """Derivatives of every row's mean with respect to the expert and gate design columns.

    The mean is sum a_i mu_i whatever beta is, so its slopes are sum a_i w_i and
    sum a_i mu_i (v_i - sum_j a_j v_j). Shapes (..., rows, d_expert) and (..., rows, d_gate).
    """
    a = np.exp(log_gate(NUMPY, parameters, X_gate))
    mu = expert_means(NUMPY, parameters, X_expert)
    mean = (a * mu).sum(axis=-1, keepdims=True)
    return a @ parameters.expert_coef, (a * (mu - mean)) @ parameters.gate_coef
