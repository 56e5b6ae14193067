"""Monte Carlo diagnostics for many quantities at once: R-hat, ESS, Pareto smoothing.

ArviZ computes them one quantity at a time: a millisecond or two each, which adds up over pairs
of chains and over rows. It is the oracle of the tests. Its functions also need docstrings, which
``python -OO`` removes, and change global state (numba, warning filters), which is not thread-safe.
"""

from collections.abc import Callable

import numpy as np
from scipy import fft, special, stats

from skcocoafuse._threads import raise_if_cancelled

MAX_PARETO_K = 0.7  # above it importance weights are unreliable, however many draws
_LEAST_TAIL = 5  # draws that a Pareto tail can be fitted to
LEAST_DRAWS = 5 * _LEAST_TAIL  # of which a fifth is such a tail
_LEAST_WEIGHT = 1e-290  # relative to a largest weight of 1; below it the fit would overflow
# Below it, means and sds have Monte Carlo errors above a tenth of the posterior sd, and R-hat and
# the effective sample size are themselves rough (Vehtari et al., 2021, recommend 100 per chain).
MIN_ESS = 100.0


def rhat(draws: np.ndarray) -> np.ndarray:
    """Rank-normalized split R-hat, the larger of the bulk and the folded one.

    Parameters
    ----------
    draws : ndarray of shape (chains, draws, quantities)

    Returns
    -------
    ndarray of shape (quantities,)
        NaN if a quantity does not vary, or there are fewer than 4 draws per chain or 8 in total.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021), "Rank-normalization, folding,
    and localization: an improved R-hat", Bayesian Analysis 16(2).
    """
    return of_each(draws, _rank_rhat)


def ess(draws: np.ndarray) -> np.ndarray:
    """Bulk effective sample size of chains; shapes and NaN as in :func:`rhat`.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021), "Rank-normalization, folding,
    and localization: an improved R-hat", Bayesian Analysis 16(2), section 3: autocorrelations
    combined over split chains, summed by Geyer's initial monotone sequence.
    """
    return of_each(draws, _bulk_ess)


def of_each(draws: np.ndarray, figure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A diagnostic of every quantity, (quantities,); NaN if constant or if draws are too few."""
    values = np.full(draws.shape[2], np.nan)
    varies = np.ptp(draws, axis=(0, 1)) > 0
    if enough_draws(*draws.shape[:2]) and varies.any():
        values[varies] = figure(draws[..., varies])
    return values


def enough_draws(n_chains: int, n_draws: int) -> bool:
    """Whether there are 4 draws per chain and 8 in total, so that half chains have a variance."""
    return n_draws >= 4 and n_chains * n_draws >= 8


def ess_of_resampled(draws: np.ndarray) -> float:
    """Effective sample size of independent draws that may contain duplicates.

    Their number if all differ; in general 1 over the sum of the squared shares of distinct draws
    (Kish, 1965, Survey Sampling), which is smaller after resampling with importance weights.

    Parameters
    ----------
    draws : ndarray of shape (...)
        A quantity that differs between distinct draws, such as the log posterior.
    """
    _, counts = np.unique(draws, return_counts=True)
    return float(counts.sum() ** 2 / (counts.astype(float) ** 2).sum())


def _bulk_ess(draws: np.ndarray) -> np.ndarray:
    if len(draws) == 1:  # a chain alone is compared with itself: its halves
        draws = _halves(draws[:, : draws.shape[1] // 2 * 2])
    halves = _halves(draws)
    size, n = halves.shape[0] * halves.shape[1], halves.shape[1]
    rho = _autocorrelation(_normal_scores(halves))
    last = max((n - 3) // 2, 0)  # pair of lags (even, odd) that has enough draws
    even, odd = rho[: 2 * last + 1 : 2], rho[1 : 2 * last + 2 : 2]
    pairs = even + odd
    ends = pairs <= 0.0  # sums of pairs are positive and fall, but for noise
    end = np.where(ends.any(axis=0), ends.argmax(axis=0), last)
    before = np.arange(last + 1)[:, None] < end
    total = np.where(before, np.minimum.accumulate(pairs), 0.0).sum(axis=0)
    columns = np.arange(rho.shape[1])
    single = even[end, columns]
    single = np.where(pairs[end, columns] >= 0.0, single, np.maximum(single, 0.0))
    return size / np.maximum(2.0 * total + single - 1.0, 1.0 / np.log10(size))


def _autocorrelation(chains: np.ndarray) -> np.ndarray:
    """Autocorrelation over all chains, (lags, quantities): 1 at lag 0, lower if chains differ."""
    n = chains.shape[1]
    length = fft.next_fast_len(2 * n, real=True)
    spectrum = fft.rfft(chains - chains.mean(axis=1, keepdims=True), length, axis=1)
    covariance = fft.irfft(np.abs(spectrum) ** 2, length, axis=1)[:, :n].mean(axis=0) / n
    within = covariance[0] * n / (n - 1.0)
    variance = covariance[0] + chains.mean(axis=1).var(axis=0, ddof=1)
    rho = 1.0 - (within - covariance) / variance
    rho[0] = 1.0
    return rho


def _halves(draws: np.ndarray) -> np.ndarray:
    """First and second halves of chains as separate chains, without the middle of odd ones."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _rank_rhat(draws: np.ndarray) -> np.ndarray:
    halves = _halves(draws)
    folded = np.abs(halves - np.median(halves, axis=(0, 1)))
    return np.maximum(*(_plain_rhat(_normal_scores(part)) for part in (halves, folded)))


def _normal_scores(draws: np.ndarray) -> np.ndarray:
    """Each quantity's ranks among all draws, as quantiles of a standard Normal."""
    raise_if_cancelled()
    flat = draws.reshape(-1, draws.shape[2])
    scores = special.ndtri((stats.rankdata(flat, axis=0) - 0.375) / (len(flat) + 0.25))
    return scores.reshape(draws.shape)


def _plain_rhat(draws: np.ndarray) -> np.ndarray:
    """Root of the variance of all chains over that within chains, (quantities,)."""
    n = draws.shape[1]
    within = draws.var(axis=1, ddof=1).mean(axis=0)
    between = draws.mean(axis=1).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((n - 1) / n + between / within)


def log_shares(log_weight: np.ndarray) -> np.ndarray:
    """Normalize log weights, so that their exponentials sum to one.

    Use this instead of subtracting the log of the sum, which rounds the shares so that they do not
    sum to one if logs are as large as log posteriors of rows with large weights.

    Parameters
    ----------
    log_weight : ndarray of shape (..., n)
        At least one of each n must be finite; -inf is a share of 0.
    """
    shifted = log_weight - log_weight.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def smooth_importance_weights(log_ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pareto-smoothed importance weights, and their Pareto k-hat.

    Parameters
    ----------
    log_ratios : ndarray of shape (..., draws)
        Log of target density over proposal density, up to a constant; -inf is allowed.

    Returns
    -------
    log_weights : ndarray of shape (..., draws)
        Their exponentials sum to one.
    pareto_k : ndarray of shape (...)
        Tail shape of the weights; above 0.7 they are unreliable. -inf if the largest weights are
        equal, inf if there are too few draws or positive weights to tell.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), "Pareto smoothed importance sampling",
    JMLR 25, algorithm 1.
    """
    shape, n_draws = log_ratios.shape[:-1], log_ratios.shape[-1]
    log_weight = log_ratios.reshape(-1, n_draws)
    log_weight = log_weight - log_weight.max(axis=1, keepdims=True)
    n_tail = int(min(n_draws / 5, 3.0 * np.sqrt(n_draws)))
    pareto_k = np.full(len(log_weight), np.inf)
    if n_tail >= _LEAST_TAIL:
        first = n_draws - n_tail
        place = np.argpartition(log_weight, (first - 1, first), axis=1)[:, first - 1 :]
        tail = np.take_along_axis(log_weight, place, axis=1)
        order = np.argsort(tail, axis=1)
        place = np.take_along_axis(place, order, axis=1)
        tail = np.exp(np.take_along_axis(tail, order, axis=1))
        cutoff, tail = tail[:, :1], tail[:, 1:]
        pareto_k[tail[:, -1] == tail[:, 0]] = -np.inf
        excess = tail - cutoff
        quartile = excess[:, _quartile(n_tail)]
        fit = np.flatnonzero((quartile > excess[:, 0]) & (quartile > _LEAST_WEIGHT))
        k, scale = _fit_pareto(excess[fit])
        pareto_k[fit] = k
        smoothed = np.minimum(cutoff[fit] + _quantiles(k, scale, n_tail), tail[fit, -1:])
        log_weight[fit[:, None], place[fit, 1:]] = np.log(smoothed)
    log_weight = log_shares(log_weight)
    return log_weight.reshape(log_ratios.shape), pareto_k.reshape(shape)


def trusted_pareto_k(n_draws: int) -> float:
    """Largest k-hat at which weights of S draws are reliable: min(1 - 1/log10 S, 0.7).

    References
    ----------
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), "Pareto smoothed importance sampling",
    JMLR 25. ArviZ 0.23 and 1.x have the same limit.
    """
    return min(1.0 - 1.0 / np.log10(n_draws), MAX_PARETO_K) if n_draws > 1 else -np.inf


def _quartile(n: int) -> int:
    """Position of the first quartile among ``n`` sorted values."""
    return int(n / 4 + 0.5) - 1


def _fit_pareto(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shape and scale of generalized Pareto distributions, each (sets,).

    Parameters
    ----------
    x : ndarray of shape (sets, values)
        Sorted, above 0.

    References
    ----------
    Zhang and Stephens (2009), "A new and efficient estimation method for the generalized
    Pareto distribution", Technometrics 51(3); the shape is shrunk toward 0.5 with the weight
    of 10 values, as in the appendix of Vehtari et al. (2024).
    """
    n = x.shape[1]
    n_grid = 30 + int(np.sqrt(n))
    grid = 1.0 - np.sqrt(n_grid / (np.arange(n_grid) + 0.5))
    b = grid / (3.0 * x[:, _quartile(n), None]) + 1.0 / x[:, -1:]
    shape = np.stack([np.log1p(-b_j[:, None] * x).mean(axis=1) for b_j in b.T], axis=1)
    log_likelihood = n * (np.log(-b / shape) - shape - 1.0)
    weight = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    b_mean = (weight * b).sum(axis=1) / weight.sum(axis=1)
    k = np.log1p(-b_mean[:, None] * x).mean(axis=1)
    return (n * k + 5.0) / (n + 10.0), -k / b_mean


def _quantiles(k: np.ndarray, scale: np.ndarray, n: int) -> np.ndarray:
    """Quantiles at (i - 1/2) / n of generalized Pareto distributions, maybe infinite, (sets, n)."""
    minus_log_tail = -np.log1p(-(np.arange(n) + 0.5) / n)
    k = np.where(k == 0.0, 1e-15, k)[:, None]
    with np.errstate(over="ignore"):  # k-hat is above 100 where one row outweighs all others
        return scale[:, None] * np.expm1(k * minus_log_tail) / k
