"""What conclusions hang on: priors and likelihood to a power, by importance weights, no refit.

The density to a power above 1 counts more, below 1 less. How far the distribution of a
conclusion moves, per doubling of the power, is its sensitivity (Kallioinen, Paananen, Buerkner
and Vehtari, 2024, "Detecting and diagnosing prior and likelihood sensitivity with
power-scaling", Statistics and Computing 34).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from scipy import special

from skcocoafuse.model import forward
from skcocoafuse.model.chunks import map_chunks
from skcocoafuse.model.mixtures import beta_of, mixture_of
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
N_ROWS = 50  # that conclusions are about, unless others are given
_LEAST_VARIANCE = 1e-200  # between experts; where all are below it, rows count alike
_NOISES = 2.0  # a figure must be so many times its noise


class Conclusion(NamedTuple):
    """Numbers of every draw, (draws, entries), and what tells the entries apart."""

    name: str
    values: np.ndarray
    entries: list[str]


@dataclass(frozen=True)
class Sensitivity:
    """How much one conclusion hangs on one prior, at the entry where it does most.

    What the numbers are is told in :attr:`PriorSensitivity.table`.
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


@dataclass(frozen=True, eq=False)
class PriorSensitivity:
    """How much conclusions hang on priors, from :func:`skcocoafuse.prior_sensitivity`.

    Parameters
    ----------
    entries : tuple of Sensitivity
        One for each prior and conclusion, the greatest prior sensitivity first.
    threshold : float
        From which on a sensitivity is worth a word.
    k_threshold : float
        Pareto k-hat up to which weights can be trusted.
    n_draws : int
        Posterior draws that were used.

    Examples
    --------
    >>> from skcocoafuse import BoERegressor, prior_sensitivity
    >>> from skcocoafuse.datasets import make_transition
    >>> X, y = make_transition(1000, random_state=0)
    >>> model = BoERegressor(1, inference="laplace", random_state=0).fit(X, y)
    >>> result = prior_sensitivity(model)
    >>> result.sensitive_priors
    []
    >>> float(result.table["prior_sensitivity"].max().round(1))
    0.0
    """

    entries: tuple[Sensitivity, ...]
    threshold: float
    k_threshold: float
    n_draws: int

    @property
    def sensitive_priors(self) -> list[str]:
        """Names of the parameters on whose priors a conclusion hangs, the most sensitive first."""
        told = [e.prior for e in self.entries if e.diagnosis in (CONFLICT, STRONG)]
        return [name for name in dict.fromkeys(told) if name != ALL]

    @property
    def table(self):
        """All figures, the greatest prior sensitivity first.

        Returns
        -------
        pandas.DataFrame
            Index: ``prior`` (a parameter's name, or "all" priors together) and ``conclusion``.
            ``entry``: where the conclusion has several numbers, the one that is most sensitive.
            ``prior_sensitivity``, ``likelihood_sensitivity``: distance that its distribution moves
            per doubling of the power. ``noise``: what the former would be, in root mean square,
            if the two had nothing to do with each other, because draws are finite. ``shift``:
            change of the mean per doubling of the prior's power, in posterior standard
            deviations. ``pareto_k``: of the weights, the worse of prior and likelihood.
            ``diagnosis``: in words, empty where there is nothing to say.
        """
        import pandas as pd

        return pd.DataFrame([asdict(e) for e in self.entries]).set_index(["prior", "conclusion"])

    def _words(self) -> str:
        told = self.sensitive_priors
        unclear = [e for e in self.entries if e.diagnosis in (BAD_WEIGHTS, FEW_DRAWS)]
        hang = "No conclusion is seen to hang on the prior of a single parameter"
        if told:
            hang = f"Conclusions hang on the prior of {', '.join(told)}"
        few = f"; {len(unclear)} of {len(self.entries)} figures cannot be told" if unclear else ""
        return f"{hang} (threshold {self.threshold:g}, {self.n_draws} draws{few})."

    def _wide(self):
        """Prior sensitivities, a row per prior and a column per conclusion."""
        import pandas as pd

        wide: dict[str, dict[str, float]] = {}
        for e in self.entries:
            wide.setdefault(e.conclusion, {})[e.prior] = e.prior_sensitivity
        return pd.DataFrame(wide, index=list(dict.fromkeys(e.prior for e in self.entries)))

    def __repr__(self) -> str:
        return f"{self._words()}\n{self._wide().to_string(float_format='{:.3f}'.format)}"

    def _repr_html_(self) -> str:
        return f"<p>{self._words()}</p>{self._wide().to_html(float_format='{:.3f}'.format)}"


# -- conclusions: numbers that do not depend on labels ------------------------------------


def of_rows(spec: ModelSpec, draws: Parameters, designs, names: list[str], use: Callable) -> None:
    """Call ``use`` with the mean and standard deviation of rows, given a draw, chunk by chunk."""

    def conclude(rows, part):
        mean, variance = forward.mean_and_variance(mixture_of(spec, draws, part))
        use(Conclusion("mean", mean, names[rows]))
        use(Conclusion("sd", np.sqrt(variance), names[rows]))

    map_chunks(conclude, designs, draws.sigma.size)


def mean_behavior(spec: ModelSpec, draws: Parameters, designs) -> Conclusion:
    """Beta of every draw on average over rows, weighed by the variance between experts.

    Where experts agree the data say nothing about beta, and it makes no difference.
    """
    total, weight = np.zeros((2, len(draws.sigma)))
    inner = forward.draws_innermost(draws)

    def add(_, part):
        beta = beta_of(spec, inner, part["behavior"])[..., 0]
        unfused = forward.components(forward.NUMPY, inner, part["expert"], part["gate"], 1.0)
        between = forward.mean_and_variance_parts(unfused)[2] + _LEAST_VARIANCE
        np.add(total, (beta * between).sum(axis=-1), out=total)
        np.add(weight, between.sum(axis=-1), out=weight)

    map_chunks(add, designs, draws.sigma.size)
    return Conclusion("behavior", (total / weight)[:, None], [""])


def own_conclusions(given: Mapping, posterior: Posterior) -> list[Conclusion]:
    """A user's own numbers of every draw, those of the heaviest island.

    Raises
    ------
    TypeError
        If ``given`` is no mapping.
    ValueError
        If a name is taken, or numbers are not finite or not one for every draw.
    """
    if not isinstance(given, Mapping):
        raise TypeError(
            f"conclusions must be a dict of names and arrays, or None; got {type(given).__name__}."
        )
    own, lead = [], (posterior.n_chains, posterior.n_draws)
    for name, draws in given.items():
        values = np.asarray(draws, dtype=np.float64)
        if name in STANDARD:
            raise ValueError(
                f"conclusions must have names of their own; {name!r} is a standard one."
            )
        if values.shape[:2] != lead or values.size == 0:
            raise ValueError(
                f"conclusions[{name!r}] must have a value for every draw, {lead} and then any "
                f"shape, as the groups of to_arviz() have; got shape {values.shape}."
            )
        if not np.isfinite(values).all():
            raise ValueError(f"conclusions[{name!r}] must be finite; got NaN or infinity.")
        kept = values[list(posterior.islands[0])].reshape(-1, math.prod(values.shape[2:]))
        entries = [str(list(index)) if index else "" for index in np.ndindex(values.shape[2:])]
        own.append(Conclusion(name, kept, entries))
    return own


def log_likelihood(problem: Problem, draws: Parameters) -> np.ndarray:
    """Log density of all rows, by weight, (draws,)."""
    total = np.zeros(len(draws.sigma))

    def add(rows, part):
        mixture = mixture_of(problem.spec, draws, part)
        seen = forward.log_density(forward.NUMPY, mixture, problem.y[rows])
        np.add(total, seen @ problem.weight[rows], out=total)

    map_chunks(add, problem.designs, draws.sigma.size)
    return total


# -- how far they move ----------------------------------------------------------------------


def cumulative_js_distance(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Distance between draws that count alike and the same draws by weight.

    The root of the symmetric cumulative Jensen-Shannon divergence over its upper bound, the
    larger of that of the values and that of their negatives. It does not change if values are
    shifted or scaled.

    Parameters
    ----------
    values : ndarray of shape (draws, entries)
    weight : ndarray of shape (sets, draws)
        Each set sums to one.

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
    alike = (np.arange(1, len(values)) / len(values))[:, None]
    out = np.empty((len(weight), values.shape[1]))
    for distance, own in zip(out, weight, strict=True):
        weighted = np.clip(np.cumsum(own[order], axis=0)[:-1], 0.0, 1.0)
        upward = _distance(width, alike, weighted)
        distance[:] = np.maximum(upward, _distance(width, 1.0 - alike, 1.0 - weighted))
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
    """Components of the posterior density to the powers 1 / alpha and alpha.

    Parameters
    ----------
    log_density : ndarray of shape (chains, draws, components)
    alpha : float
        Above 1.

    Attributes
    ----------
    pareto_k : ndarray of shape (components,)
        The worse of both powers.
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
) -> PriorSensitivity:
    """Scale the likelihood, all priors, and each prior; see how far conclusions move.

    Parameters
    ----------
    problem : Problem
        The rows the posterior was learned from.
    posterior : Posterior
        One island.
    designs : dict of str to ndarray
        Standardised design matrices of the rows that conclusions are about.
    names : list of str
        Of these rows.
    own : list of Conclusion
        Further ones.
    alpha : float
        Above 1.
    threshold : float
    """
    spec, draws = problem.spec, posterior.flat()
    seen, priors = log_likelihood(problem, draws), spec.log_prior(draws)
    log_density = np.stack([seen, sum(priors.values()), *priors.values()], axis=-1)
    scaled = Scaled(log_density.reshape(posterior.n_chains, posterior.n_draws, -1), alpha)

    parts: dict[str, list[Moved]] = {}
    entries: dict[str, list[str]] = {}

    def move(conclusion: Conclusion) -> None:
        parts.setdefault(conclusion.name, []).append(scaled.move(conclusion.values))
        entries.setdefault(conclusion.name, []).extend(conclusion.entries)

    of_rows(spec, draws, designs, names, move)
    if spec.behavior is None and spec.n_experts > 1:
        move(mean_behavior(spec, draws, designs))
    for conclusion in [Conclusion("log density", seen[:, None], [""]), *own]:
        move(conclusion)

    k_threshold = trusted_pareto_k(len(seen))
    found = []
    for name, moved in parts.items():
        whole = Moved(*(np.concatenate(figure, axis=1) for figure in zip(*moved, strict=True)))
        for k, prior in enumerate([ALL, *priors], start=1):  # 0 is the likelihood
            at = int(np.argmax(whole.sensitivity[k]))
            pareto_k = float(max(scaled.pareto_k[[0, k]]))
            told = (
                BAD_WEIGHTS
                if pareto_k > k_threshold
                else _diagnose(whole.sensitivity[[0, k], at], whole.noise[[0, k], at], threshold)
            )
            found.append(
                Sensitivity(
                    prior=prior,
                    conclusion=name,
                    entry=entries[name][at],
                    prior_sensitivity=float(whole.sensitivity[k, at]),
                    likelihood_sensitivity=float(whole.sensitivity[0, at]),
                    noise=float(whole.noise[k, at]),
                    shift=float(whole.shift[k, at]),
                    pareto_k=pareto_k,
                    diagnosis=told,
                )
            )
    found.sort(key=lambda entry: -entry.prior_sensitivity)
    return PriorSensitivity(tuple(found), threshold, k_threshold, len(seen))


def _diagnose(sensitivity, noise, threshold: float) -> str:
    """In words, from (likelihood, prior); noise is NaN where draws are too few to tell."""
    if sensitivity[1] < threshold:
        return ""
    likelihood, prior = sensitivity > _NOISES * noise
    if not prior:
        return FEW_DRAWS
    return CONFLICT if likelihood and sensitivity[0] >= threshold else STRONG
