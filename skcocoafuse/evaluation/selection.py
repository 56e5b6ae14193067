"""Candidates with different numbers of experts, and the rules that select among them."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from skcocoafuse._cached import cached_property
from skcocoafuse.evaluation import elpd, verdicts
from skcocoafuse.evaluation.elpd import Difference
from skcocoafuse.evaluation.tables import Tabular

_MAX_BAD_ROWS = 0.05  # share of the rows
# Of elpd, too small for its standard error to be reliable: Sivula, Magnusson, Matamoros and Vehtari
# (2020), "Uncertainty in Bayesian leave-one-out cross-validation based model comparison",
# arXiv:2008.10296.
SMALL_DIFFERENCE = 4.0
RULES = ("best", "one_se", "chebyshev")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A number of experts, and its predictions of held-out rows.

    Parameters
    ----------
    pointwise : ndarray of shape (n_samples,)
        Log density of each row, in units of the target, by leave-one-out or K-fold
        cross-validation; not a number for rows that were not scored.
    weight : ndarray of shape (n_samples,)
    bad : ndarray of bool, shape (n_samples,)
        Rows whose leave-one-out density is unreliable; none for K-fold cross-validation.
    diagnostics : list of dict
        ``diagnostics_`` of each fit: of the one to all rows, or of those to all folds but one.
    seconds : float
        Run time of all its fits.
    p : float, default=nan
        Effective number of parameters, by leave-one-out; not a number for K-fold
        cross-validation, which has no fit to all rows.
    estimator : estimator, optional
        Fitted to all rows, for leave-one-out.
    scored : ndarray of bool, shape (n_samples,), optional
        Rows that were predicted, all by default. A candidate that was dropped because it cannot
        win, or is too large, has predicted some folds only; its elpd is extrapolated to all rows.
    n_experts : int, default=1
    most_experts : float, default=inf
        The most, at least one, that have no more parameters than any fit has rows, counted by their
        weights, all else equal; infinite without a race.
    """

    pointwise: np.ndarray
    weight: np.ndarray
    bad: np.ndarray
    diagnostics: list[dict]
    seconds: float
    p: float = np.nan
    estimator: Any = None
    scored: np.ndarray | None = None
    n_experts: int = 1
    most_experts: float = np.inf

    @property
    def too_large(self) -> bool:
        """Whether there are several experts with more parameters than rows to fit them to."""
        return self.n_experts > self.most_experts

    @property
    def dropped(self) -> bool:
        """Whether some folds were not predicted, because it cannot win or is too large."""
        return self.scored is not None and not self.scored.all()

    @property
    def converged(self) -> bool:
        """Whether every fit passed the convergence checks of ``fit``."""
        return all(map(verdicts.converged, self.diagnostics))

    @property
    def rhat(self) -> float:
        """The largest R-hat of any fit."""
        return max(found["rhat"] for found in self.diagnostics)

    @property
    def n_collapsed(self) -> int:
        """The largest number of collapsed experts in any fit."""
        return max(len(verdicts.collapsed_experts(found)) for found in self.diagnostics)

    @cached_property
    def elpd(self) -> Difference:
        """Weighted sum of ``pointwise``, and its standard error."""
        return self._sum_over_rows(self.pointwise, self.scored)

    def elpd_difference(self, other: "Candidate") -> Difference:
        """Its elpd minus that of another candidate, with the paired standard error."""
        masks = [each.scored for each in (self, other) if each.scored is not None]
        scored = np.all(masks, axis=0) if masks else None
        return self._sum_over_rows(self.pointwise - other.pointwise, scored)

    def _sum_over_rows(self, values: np.ndarray, scored: np.ndarray | None) -> Difference:
        """Weighted sum and standard error, from the scored rows extrapolated to all."""
        counts = self.weight > 0 if scored is None else scored & (self.weight > 0)
        total, error = elpd.sum_and_error(values[counts], self.weight[counts])
        scale = self.weight.sum() / self.weight[counts].sum()
        return Difference(scale * total, scale * error)


def _finished(candidates: dict[int, Candidate]) -> dict[int, Candidate]:
    """Those that predicted all folds, in ascending order."""
    return {m: each for m, each in sorted(candidates.items()) if not each.dropped}


def _highest(candidates: dict[int, Candidate]) -> int:
    """The number with the highest elpd; the first one in case of ties."""
    return max(candidates, key=lambda m: candidates[m].elpd.elpd)


@dataclass(frozen=True, eq=False)
class Alternative:
    """Another value of a parameter, beside what was selected before.

    Parameters
    ----------
    name : str
        The parameter, as in ``set_params``.
    value : object
    candidate : Candidate
    gain : Difference
        Its elpd minus that of what was selected before, with the paired standard error.
    selected : bool
    """

    name: str
    value: Any
    candidate: Candidate
    gain: Difference
    selected: bool


@dataclass(frozen=True, eq=False)
class NExpertsSelection(Tabular):
    """Fits with several numbers of experts and the selected one.

    Returned by :func:`select_n_experts`.

    Parameters
    ----------
    candidates : dict of int to Candidate
        By number of experts, in ascending order.
    criterion : {"loo", "cv"}
        The criterion used.
    rule : {"best", "one_se", "chebyshev"}
    confidence : float
        Confidence of the lower bounds in the table and of the rule "chebyshev".
    name : str, default="n_experts"
        The estimator's parameter that is the number of experts; in a pipeline it has a prefix.
    alternatives : tuple of Alternative, default=()
        Other settings that were tried with the selected number, in order.
    refitted : estimator, optional
        A fit of what was selected to all rows by the estimator's own engine, unless the candidates
        contain it.
    not_tried : tuple of int, default=()
        Numbers of experts that were left out, in ascending order: a smaller one was already behind
        an even smaller one, or these have more parameters than there are rows.

    Examples
    --------
    >>> from skcocoafuse import MoERegressor, select_n_experts
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(150, random_state=0)
    >>> model = MoERegressor(inference="vi", random_state=0)
    >>> selection = select_n_experts(model, X, y, n_experts=[1, 2, 3])
    >>> selection.table["chosen"].tolist()
    [False, True, False]
    """

    candidates: dict[int, Candidate]
    criterion: str
    rule: str
    confidence: float
    name: str = "n_experts"
    alternatives: tuple[Alternative, ...] = ()
    refitted: Any = None
    not_tried: tuple[int, ...] = ()

    @property
    def best(self) -> int:
        """The number of experts with the highest elpd; the smallest one in case of ties."""
        return _highest(_finished(self.candidates))

    @property
    def dropped(self) -> list[int]:
        """Numbers of experts dropped after two folds, clearly worse than another or too large."""
        return [m for m, candidate in self.candidates.items() if candidate.dropped]

    @property
    def n_experts(self) -> int:
        """The number of experts selected by the rule."""
        return self.params[self.name]

    @property
    def _n_experts_alone(self) -> int:
        """The number selected with the estimator's own settings, before alternatives."""
        return self.choose(self.candidates)

    def choose(self, candidates: dict[int, Candidate]) -> int:
        """The number that the rule selects of some candidates, of those that were not dropped."""
        finished = _finished(candidates)
        best = _highest(finished)
        if self.rule == "one_se":
            return next(m for m in finished if not self.prefers(finished[best], finished[m]))
        if self.rule == "chebyshev":
            return max(finished, key=lambda m: finished[m].elpd.lower_bound(self.confidence))
        return best

    def prefers(self, new: Candidate, old: Candidate) -> bool:
        """Whether the rule prefers ``new`` to ``old``, which is simpler or the estimator's own."""
        gain = new.elpd_difference(old)
        if self.rule == "one_se":
            return gain.elpd > max(gain.se, SMALL_DIFFERENCE)
        if self.rule == "chebyshev":
            return new.elpd.lower_bound(self.confidence) > old.elpd.lower_bound(self.confidence)
        return gain.elpd > 0.0

    @property
    def params(self) -> dict[str, Any]:
        """Selected parameters, as in ``set_params``: the number of experts, and alternatives."""
        others = {each.name: each.value for each in self.alternatives if each.selected}
        return {self.name: self._n_experts_alone, **others}

    @property
    def selected(self) -> Candidate:
        """What was selected: the number of experts, with those alternatives that were better."""
        better = [each.candidate for each in self.alternatives if each.selected]
        return (better or [self.candidates[self._n_experts_alone]])[-1]

    @property
    def edge(self) -> Literal["smallest", "largest"] | None:
        """Whether the selected number is the smallest or largest tried; None if neither.

        One expert does not count as an edge, since there cannot be fewer, nor does a single number.
        """
        tried = [*self.candidates, *self.not_tried]
        if len(tried) > 1 and self.n_experts == max(tried):
            return "largest"
        if len(tried) > 1 and self.n_experts == min(tried) > 1:
            return "smallest"
        return None

    @property
    def estimator(self):
        """The estimator with what was selected, fitted to all rows by its engine."""
        return self.refitted if self.refitted is not None else self.selected.estimator

    @property
    def untrusted(self) -> list[int]:
        """Numbers of experts whose leave-one-out estimates are unreliable.

        The fit did not converge, or more than 5% of the rows have a high Pareto k-hat. Folds are
        predicted by fits to the other folds, so their estimates are reliable whether or not the
        fits converged.
        """
        if self.criterion == "cv":
            return []
        return [
            m for m, c in self.candidates.items() if not c.converged or c.bad.mean() > _MAX_BAD_ROWS
        ]

    @property
    def n_experts_without_bad_rows(self) -> int:
        """The number selected from only the rows that are reliable for every number of experts."""
        bad = np.any([c.bad for c in self.candidates.values()], axis=0)
        candidates = {
            m: replace(c, weight=np.where(bad, 0.0, c.weight)) for m, c in self.candidates.items()
        }
        return replace(self, candidates=candidates).n_experts

    @property
    def table(self):
        """All results, one row per number of experts.

        Returns
        -------
        pandas.DataFrame
            ``elpd``, ``se``: log density of all rows when held out, and its standard error.
            ``elpd_diff``, ``diff_se``: the best elpd minus this one, and the paired standard
            error. ``elpd_lower``: lower bound by Chebyshev's inequality. ``p``: effective number
            of parameters, and ``n_bad_k``: number of rows with a high Pareto k-hat, both only for
            the criterion "loo". ``rhat``: the largest of any fit. ``converged``: whether all did.
            ``collapsed``: number of experts that account for less than 1% of the data, the
            largest of any fit. ``seconds``: run time of all fits. ``chosen``: whether selected.
            ``dropped``: whether it was dropped after two folds, clearly worse than another or with
            more parameters than rows, so that its figures are extrapolated from these; only for
            "cv".
        """
        import pandas as pd

        rows, best = [], self.candidates[self.best]
        for m, candidate in self.candidates.items():
            behind = best.elpd_difference(candidate)
            rows.append(
                {
                    "elpd": candidate.elpd.elpd,
                    "se": candidate.elpd.se,
                    "elpd_diff": behind.elpd,
                    "diff_se": behind.se,
                    "elpd_lower": self._lower_bound(m),
                    "p": candidate.p,
                    "n_bad_k": int(candidate.bad.sum()),
                    "rhat": candidate.rhat,
                    "converged": candidate.converged,
                    "collapsed": candidate.n_collapsed,
                    "seconds": candidate.seconds,
                    "chosen": m == self.n_experts,
                    "dropped": candidate.dropped,
                }
            )
        table = pd.DataFrame(rows, index=pd.Index(self.candidates, name="n_experts"))
        return table.drop(columns=["dropped"] if self.criterion == "loo" else ["p", "n_bad_k"])

    @property
    def table_of_alternatives(self):
        """Other settings that were tried with the selected number of experts, one per row.

        If those selected are clearly better, other numbers of experts with them follow.

        Returns
        -------
        pandas.DataFrame
            ``name`` and ``value`` of the parameter. ``elpd``, ``se``: as in ``table``.
            ``elpd_gain``, ``gain_se``: elpd minus that of what was selected before, and the paired
            standard error. ``seconds``: run time of all fits. ``selected``: whether it replaced
            the estimator's own value. ``dropped``: whether it was dropped after two folds, in which
            it was behind, so that its figures are extrapolated from these.
        """
        import pandas as pd

        columns = ["name", "value", "elpd", "se", "elpd_gain", "gain_se"]
        columns += ["seconds", "selected", "dropped"]
        rows = [
            (
                each.name,
                each.value,
                each.candidate.elpd.elpd,
                each.candidate.elpd.se,
                each.gain.elpd,
                each.gain.se,
                each.candidate.seconds,
                each.selected,
                each.candidate.dropped,
            )
            for each in self.alternatives
        ]
        return pd.DataFrame(rows, columns=columns)

    def plot(self, ax=None):
        """Plot the elpd of each number of experts relative to the best.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to plot on; those of a new figure by default.

        Returns
        -------
        skcocoafuse.plotting.NExpertsDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed; the extra ``plot`` installs it.
        """
        from skcocoafuse.plotting import NExpertsDisplay

        return NExpertsDisplay.from_selection(self, ax=ax)

    def _lower_bound(self, n_experts: int) -> float:
        return self.candidates[n_experts].elpd.lower_bound(self.confidence)

    def __repr__(self) -> str:
        head = f"{self.n_experts} experts, by {self.criterion} and the rule {self.rule!r}"
        lines = [head, self.table.to_string(float_format=lambda value: f"{value:.2f}")]
        others = [f"{name}={value!r}" for name, value in self.params.items() if name != self.name]
        if others:
            lines.append(f"with {', '.join(others)}")
        if self.edge:
            lines.append(f"the {self.edge} number tried was selected")
        if self.dropped:
            lines.append(f"dropped after two folds: n_experts={self.dropped}")
        if self.not_tried:
            reason = "since fewer are better or rows too few"
            lines.append(f"not tried, {reason}: n_experts={list(self.not_tried)}")
        if self.untrusted:
            lines.append(f"unreliable estimates: n_experts={self.untrusted}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.table.to_html(float_format=lambda value: f"{value:.2f}")
