"""Power-scaling of priors and likelihood by importance weights, without refitting.

A power above 1 strengthens a component of the posterior, a power below 1 weakens it. How far the
distribution of a conclusion moves, per doubling of the power, is its sensitivity (Kallioinen,
Paananen, Buerkner and Vehtari, 2024, "Detecting and diagnosing prior and likelihood sensitivity
with power-scaling", Statistics and Computing 34).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

from skcocoafuse.model import forward
from skcocoafuse.model.chunks import map_chunks, map_rows
from skcocoafuse.model.mixtures import beta_of, mixture_of, unfused_mixture
from skcocoafuse.model.parameters import Parameters
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.spec import ModelSpec
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.monte_carlo import ess, smooth_importance_weights, trusted_pareto_k

STANDARD = ("mean", "sd", "behavior", "log density")
ALL = "all"  # the priors of all parameters together
CONFLICT = "potential prior-data conflict"
STRONG = "potential strong prior / weak likelihood"
BAD_WEIGHTS = "cannot tell: Pareto k-hat too high"
FEW_DRAWS = "cannot tell: too few effective draws"
N_ROWS = 50  # that conclusions are about by default
_LEAST_VARIANCE = 1e-200  # between experts; where all are below it, rows are equally weighted
_NOISES = 2.0  # an estimate must be this many times its noise


class Conclusion(NamedTuple):
    """Values for every draw, (draws, entries), and labels of the entries."""

    name: str
    values: np.ndarray
    entries: list[str]


@dataclass(frozen=True)
class Sensitivity:
    """Sensitivity of one conclusion to one prior, at its most sensitive entry.

    Fields are described in :attr:`.PriorSensitivity.table`.
    """

    prior: str
    conclusion: str
    entry: str
    prior_sensitivity: float
    likelihood_sensitivity: float
    noise: float
    shift: float
    pareto_k: float
    diagnosis: str


# -- conclusions: quantities that do not depend on labels ---------------------------------


def of_rows(spec: ModelSpec, draws: Parameters, designs, names: list[str], use: Callable) -> None:
    """Call ``use`` with means and standard deviations of rows given each draw, by chunks."""

    def conclude(rows, part):
        mean, variance = forward.mean_and_variance(mixture_of(spec, draws, part))
        use(Conclusion("mean", mean, names[rows]))
        use(Conclusion("sd", np.sqrt(variance), names[rows]))

    map_chunks(conclude, designs, draws.sigma.size)


def mean_behavior(spec: ModelSpec, draws: Parameters, designs) -> Conclusion:
    """Beta of every draw averaged over rows, weighted by the variance between experts.

    Where experts agree, beta has no effect and is not identified by the data.
    """
    total, weight = np.zeros((2, len(draws.sigma)))
    inner = forward.draws_innermost(draws)

    def add(_, part):
        beta = beta_of(spec, inner, part["behavior"])[..., 0]
        unfused = unfused_mixture(spec, inner, part)
        between = forward.mean_and_variance_parts(unfused)[2] + _LEAST_VARIANCE
        np.add(total, (beta * between).sum(axis=-1), out=total)
        np.add(weight, between.sum(axis=-1), out=weight)

    map_chunks(add, designs, draws.sigma.size)
    return Conclusion("behavior", (total / weight)[:, None], [""])


def own_conclusions(given: Mapping, posterior: Posterior) -> list[Conclusion]:
    """User-defined conclusions, for the draws of the heaviest chain cluster.

    Raises
    ------
    TypeError
        If ``given`` is not a mapping.
    ValueError
        If a name is taken, or values are not finite, or their number differs from that of draws.
    """
    if not isinstance(given, Mapping):
        raise TypeError(
            f"conclusions must be a dict of names to arrays, or None; got {type(given).__name__}."
        )
    own, lead = [], (posterior.n_chains, posterior.n_draws)
    for name, draws in given.items():
        values = np.asarray(draws, dtype=np.float64)
        if name in STANDARD:
            raise ValueError(
                f"conclusions must not have the names {list(STANDARD)}; {name!r} is a standard one."
            )
        if values.shape[:2] != lead or values.size == 0:
            raise ValueError(
                f"conclusions[{name!r}] must have a value for every draw, shape {lead} and then "
                f"any axes, as in the groups of to_arviz(); got shape {values.shape}."
            )
        if not np.isfinite(values).all():
            raise ValueError(f"conclusions[{name!r}] must be finite; got NaN or infinity.")
        kept = values[list(posterior.clusters[0])].reshape(-1, math.prod(values.shape[2:]))
        entries = [str(list(index)) if index else "" for index in np.ndindex(values.shape[2:])]
        own.append(Conclusion(name, kept, entries))
    return own


def log_likelihood(problem: Problem, draws: Parameters) -> np.ndarray:
    """Log density of all rows, weighted, (draws,)."""
    total = np.zeros(len(draws.sigma))

    def add(rows, part):
        mixture = mixture_of(problem.spec, draws, part)
        seen = forward.log_density(forward.NUMPY, mixture, problem.y[rows])
        np.add(total, seen @ problem.weight[rows], out=total)

    map_rows(add, problem.rows, draws.sigma.size)
    return total


# -- how far they move ----------------------------------------------------------------------


def cumulative_js_distance(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Distance between equally weighted draws and the same draws with weights.

    The square root of the symmetric cumulative Jensen-Shannon divergence over its upper bound;
    the larger of that of the values and that of their negatives. It is invariant to shifting and
    scaling of the values.

    Parameters
    ----------
    values : ndarray of shape (draws, entries)
    weight : ndarray of shape (sets, draws)
        Weights; each set sums to one.

    Returns
    -------
    ndarray of shape (sets, entries)
        Between 0 and 1; 0 for values that do not vary.

    References
    ----------
    Nguyen and Vreeken (2015), "Non-parametric Jensen-Shannon divergence", ECML PKDD;
    Kallioinen et al. (2024), section 2.3.
    """
    order = np.argsort(values, axis=0)
    width = np.diff(np.take_along_axis(values, order, axis=0), axis=0)
    equal = (np.arange(1, len(values)) / len(values))[:, None]
    out = np.empty((len(weight), values.shape[1]))
    for distance, own in zip(out, weight, strict=True):
        weighted = np.clip(np.cumsum(own[order], axis=0)[:-1], 0.0, 1.0)
        upward = _distance(width, equal, weighted)
        distance[:] = np.maximum(upward, _distance(width, 1.0 - equal, 1.0 - weighted))
    return out


def _distance(width, p, q):
    middle = 0.5 * (p + q)
    apart = (width * (special.rel_entr(p, middle) + special.rel_entr(q, middle))).sum(axis=0)
    bound = np.log(2.0) * (width * (p + q)).sum(axis=0)
    apart = np.maximum(apart, 0.0)
    return np.sqrt(np.divide(apart, bound, out=np.zeros_like(apart), where=bound > 0.0))


class Moved(NamedTuple):
    """Sensitivity, its noise and the shift of the mean, each (components, entries)."""

    sensitivity: np.ndarray
    noise: np.ndarray
    shift: np.ndarray


class Scaled:
    """Components of the posterior density, scaled to the powers 1 / alpha and alpha.

    Parameters
    ----------
    log_density : ndarray of shape (chains, draws, components)
    alpha : float
        Above 1.

    Attributes
    ----------
    pareto_k : ndarray of shape (components,)
        The larger k-hat of the two powers.
    """

    def __init__(self, log_density: np.ndarray, alpha: float):
        each = log_density.reshape(-1, log_density.shape[-1]).T
        n_draws = each.shape[1]
        effective = np.minimum(ess(log_density), n_draws)
        less, pareto_k_less = smooth_importance_weights((1.0 / alpha - 1.0) * each)
        more, pareto_k_more = smooth_importance_weights((alpha - 1.0) * each)
        self.pareto_k = np.maximum(pareto_k_less, pareto_k_more)
        self._doublings = np.log2(alpha)
        self._less, self._more = np.exp(less), np.exp(more)
        unequal = [((w - 1.0 / n_draws) ** 2).sum(axis=1) for w in (self._less, self._more)]
        self._unequal = 0.5 * sum(unequal) * n_draws / effective

    def move(self, values: np.ndarray) -> Moved:
        """How far the distribution of values (draws, entries) moves."""
        both = cumulative_js_distance(values, np.concatenate([self._less, self._more]))
        center, spread = values.mean(axis=0), values.std(axis=0)
        # For unrelated draws Q - P has the variance unequal * P (1 - P), and the squared distance
        # is about the integral of (Q - P)^2 / P over that of 8 log(2) P.
        above, below = values.max(axis=0) - center, center - values.min(axis=0)
        varies = spread > 0.0
        lopsided = np.ones_like(center)
        lopsided[varies] = np.maximum(above, below)[varies] / np.minimum(above, below)[varies]
        noise = np.sqrt(self._unequal[:, None] * lopsided / (8.0 * np.log(2.0)))
        change = (self._more - self._less) @ (values - center)
        shift = np.divide(change, spread, out=np.zeros_like(change), where=varies)
        return Moved(
            0.5 * (both[: len(both) // 2] + both[len(both) // 2 :]) / self._doublings,
            noise / self._doublings,
            0.5 * shift / self._doublings,
        )


def measure(
    problem: Problem,
    posterior: Posterior,
    designs: dict[str, np.ndarray],
    names: list[str],
    own: list[Conclusion],
    alpha: float,
    threshold: float,
) -> tuple[Sensitivity, ...]:
    """Scale the likelihood, all priors, and each prior, and measure how far conclusions move.

    One entry for each prior and conclusion, the largest prior sensitivity first.

    Parameters
    ----------
    problem : Problem
        The rows of the fit.
    posterior : Posterior
        Of one chain cluster.
    designs : dict of str to ndarray
        Standardized design matrices of the rows that conclusions are about.
    names : list of str
        Names of these rows.
    own : list of Conclusion
        Further conclusions.
    alpha : float
        Above 1.
    threshold : float
    """
    spec, draws = problem.spec, posterior.flat()
    seen, priors = log_likelihood(problem, draws), spec.log_prior(draws)
    log_density = np.stack([seen, sum(priors.values()), *priors.values()], axis=-1)
    scaled = Scaled(log_density.reshape(posterior.n_chains, posterior.n_draws, -1), alpha)
    judged = _Judged([ALL, *priors], scaled.pareto_k, trusted_pareto_k(len(seen)), threshold)
    found = [
        judged.entry(k, name, entries, moved)
        for name, entries, moved in _moves(scaled, spec, draws, designs, names, seen, own)
        for k in range(len(judged.priors))
    ]
    return tuple(sorted(found, key=lambda entry: -entry.prior_sensitivity))


def _moves(
    scaled: Scaled, spec, draws, designs, names, seen, own
) -> Iterator[tuple[str, list[str], Moved]]:
    """How far each conclusion moves, for all of its entries."""
    parts: dict[str, list[Moved]] = {}
    entries: dict[str, list[str]] = {}

    def move(conclusion: Conclusion) -> None:  # one by one: each may have many numbers
        parts.setdefault(conclusion.name, []).append(scaled.move(conclusion.values))
        entries.setdefault(conclusion.name, []).extend(conclusion.entries)

    of_rows(spec, draws, designs, names, move)
    if spec.behavior is None and spec.n_experts > 1:
        move(mean_behavior(spec, draws, designs))
    for conclusion in [Conclusion("log density", seen[:, None], [""]), *own]:
        move(conclusion)
    for name, moved in parts.items():
        figures = (np.concatenate(figure, axis=1) for figure in zip(*moved, strict=True))
        yield name, entries[name], Moved(*figures)


class _Judged(NamedTuple):
    """Names of the priors, and the criteria for their results.

    ``pareto_k`` starts with the likelihood, and so do all results of a conclusion.
    """

    priors: list[str]
    pareto_k: np.ndarray
    k_threshold: float
    threshold: float

    def entry(self, k: int, conclusion: str, entries: list[str], moved: Moved) -> Sensitivity:
        """A conclusion and the k-th prior, at the entry that is most sensitive."""
        own = k + 1
        at = int(np.argmax(moved.sensitivity[own]))
        pareto_k = float(max(self.pareto_k[[0, own]]))
        both = moved.sensitivity[[0, own], at], moved.noise[[0, own], at]
        trusted = pareto_k <= self.k_threshold
        return Sensitivity(
            prior=self.priors[k],
            conclusion=conclusion,
            entry=entries[at],
            prior_sensitivity=float(moved.sensitivity[own, at]),
            likelihood_sensitivity=float(moved.sensitivity[0, at]),
            noise=float(moved.noise[own, at]),
            shift=float(moved.shift[own, at]),
            pareto_k=pareto_k,
            diagnosis=diagnose(*both, self.threshold) if trusted else BAD_WEIGHTS,
        )


def diagnose(sensitivity, noise, threshold: float) -> str:
    """Diagnosis from (likelihood, prior); noise is NaN if there are too few draws to tell."""
    if sensitivity[1] < threshold:
        return ""
    likelihood, prior = sensitivity > _NOISES * noise
    if not prior:
        return FEW_DRAWS
    return CONFLICT if likelihood and sensitivity[0] >= threshold else STRONG
