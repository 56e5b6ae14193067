"""Candidates with different numbers of experts, and the rules that choose among them."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from skcocoafuse.evaluation import elpd, verdicts
from skcocoafuse.evaluation.comparison import regressor_inside
from skcocoafuse.evaluation.elpd import Difference

_MAX_BAD_ROWS = 0.05  # part of the rows
# Of elpd, too little for its standard error to mean much: Sivula, Magnusson, Matamoros and Vehtari
# (2020), "Uncertainty in Bayesian leave-one-out cross-validation based model comparison",
# arXiv:2008.10296.
SMALL_DIFFERENCE = 4.0
RULES = ("best", "one_se", "chebyshev")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fit with some number of experts, and how it predicts rows left out.

    Parameters
    ----------
    estimator : estimator
        Fitted to all rows.
    pointwise : ndarray of shape (n_samples,)
        Log density of each row, in the target's units, by leave-one-out or K-fold
        cross-validation.
    in_sample : ndarray of shape (n_samples,)
        Log density of each row by the fit that has seen it.
    weight : ndarray of shape (n_samples,)
    bad : ndarray of bool, shape (n_samples,)
        Rows whose leave-one-out density cannot be trusted; none for K-fold cross-validation.
    converged : bool
        Whether the fit, and those of all folds, passed the checks that ``fit`` warns of.
    seconds : float
        Of all its fits.
    """

    estimator: Any
    pointwise: np.ndarray
    in_sample: np.ndarray
    weight: np.ndarray
    bad: np.ndarray
    converged: bool
    seconds: float

    @property
    def diagnostics(self) -> dict:
        """``diagnostics_`` of the fit to all rows."""
        return regressor_inside(self.estimator).diagnostics_

    @cached_property
    def elpd(self) -> Difference:
        """Sum of ``pointwise`` by weight, and its standard error."""
        counts = self.weight > 0
        return Difference(*elpd.sum_and_error(self.pointwise[counts], self.weight[counts]))

    def elpd_difference(self, other: "Candidate") -> Difference:
        """By how much its elpd exceeds another's, with the paired standard error."""
        counts = self.weight > 0
        gap = self.pointwise[counts] - other.pointwise[counts]
        return Difference(*elpd.sum_and_error(gap, self.weight[counts]))


@dataclass(frozen=True, eq=False)
class NExpertsSelection:
    """Fits with several numbers of experts and the choice among them.

    Objects come from :func:`select_n_experts`.

    Parameters
    ----------
    candidates : dict of int to Candidate
        By number of experts, rising.
    criterion : {"loo", "cv"}
        The one that was used.
    rule : {"best", "one_se", "chebyshev"}
    confidence : float
        Of the lower bounds in the table and of the rule "chebyshev".
    """

    candidates: dict[int, Candidate]
    criterion: str
    rule: str
    confidence: float

    @property
    def best(self) -> int:
        """The number of experts with the highest elpd, the smallest of these."""
        return max(self.candidates, key=lambda m: self.candidates[m].elpd.elpd)

    @property
    def n_experts(self) -> int:
        """The number of experts chosen by the rule."""
        if self.rule == "one_se":
            best = self.candidates[self.best]
            behind = {m: best.elpd_difference(each) for m, each in self.candidates.items()}
            return next(m for m, gap in behind.items() if gap.elpd <= max(gap.se, SMALL_DIFFERENCE))
        if self.rule == "chebyshev":
            return max(self.candidates, key=self._lower_bound)
        return self.best

    @property
    def edge(self) -> Literal["smallest", "largest"] | None:
        """At which edge of the numbers that were tried the choice is, None if at neither.

        One expert is no edge, since there are no fewer, and a single number is no choice.
        """
        tried = list(self.candidates)
        if len(tried) > 1 and self.n_experts == max(tried):
            return "largest"
        if len(tried) > 1 and self.n_experts == min(tried) > 1:
            return "smallest"
        return None

    @property
    def estimator(self):
        """The estimator with the chosen number of experts, fitted to all rows."""
        return self.candidates[self.n_experts].estimator

    @property
    def untrusted(self) -> list[int]:
        """Numbers of experts whose leave-one-out figures cannot be trusted.

        The fit did not converge, or more than 5% of the rows have a bad Pareto k-hat. Folds are
        predicted by fits that have not seen them, so their figures can be trusted whatever the
        fits are like.
        """
        if self.criterion == "cv":
            return []
        return [
            m for m, c in self.candidates.items() if not c.converged or c.bad.mean() > _MAX_BAD_ROWS
        ]

    @property
    def n_experts_without_bad_rows(self) -> int:
        """What the rule chooses by the rows that can be trusted with every number of experts."""
        bad = np.any([c.bad for c in self.candidates.values()], axis=0)
        candidates = {
            m: replace(c, weight=np.where(bad, 0.0, c.weight)) for m, c in self.candidates.items()
        }
        return replace(self, candidates=candidates).n_experts

    @property
    def table(self):
        """All figures, a row per number of experts.

        Returns
        -------
        pandas.DataFrame
            ``elpd``, ``se``: log density of all rows when left out, and its standard error.
            ``elpd_diff``, ``diff_se``: the best elpd less this one, and the paired standard
            error. ``elpd_lower``: the lower bound by Chebyshev's inequality. ``p``: effective
            number of parameters. ``n_bad_k``: rows that cannot be trusted. ``rhat``,
            ``converged``: of the fit (and all folds). ``collapsed``: experts that account for
            less than 1% of the data. ``seconds``: of all fits. ``chosen``: by the rule.
        """
        import pandas as pd

        rows, best = [], self.candidates[self.best]
        for m, candidate in self.candidates.items():
            behind = best.elpd_difference(candidate)
            gained = candidate.in_sample - candidate.pointwise
            rows.append(
                {
                    "elpd": candidate.elpd.elpd,
                    "se": candidate.elpd.se,
                    "elpd_diff": behind.elpd,
                    "diff_se": behind.se,
                    "elpd_lower": self._lower_bound(m),
                    "p": elpd.sum_and_error(gained, candidate.weight)[0],
                    "n_bad_k": int(candidate.bad.sum()),
                    "rhat": candidate.diagnostics["rhat"],
                    "converged": candidate.converged,
                    "collapsed": len(verdicts.collapsed_experts(candidate.diagnostics)),
                    "seconds": candidate.seconds,
                    "chosen": m == self.n_experts,
                }
            )
        return pd.DataFrame(rows, index=pd.Index(self.candidates, name="n_experts"))

    def plot(self, ax=None):
        """Draw the elpd of all numbers of experts less the best.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to; a new figure by default.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            Without matplotlib, which the extra ``plot`` installs.
        """
        from skcocoafuse.plotting import draw_selection

        return draw_selection(self.table, self.untrusted, ax)

    def _lower_bound(self, n_experts: int) -> float:
        return self.candidates[n_experts].elpd.lower_bound(self.confidence)

    def __repr__(self) -> str:
        head = f"{self.n_experts} experts, by {self.criterion} and the rule {self.rule!r}"
        lines = [head, self.table.to_string(float_format=lambda value: f"{value:.2f}")]
        if self.edge:
            lines.append(f"the {self.edge} number that was tried was chosen")
        if self.untrusted:
            lines.append(f"figures not to be trusted: n_experts={self.untrusted}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.table.to_html(float_format=lambda value: f"{value:.2f}")
