"""Candidates with different numbers of experts, and the rules that select among them."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from skcocoafuse._cached import cached_property
from skcocoafuse.evaluation import elpd, verdicts
from skcocoafuse.evaluation.comparison import regressor_inside
from skcocoafuse.evaluation.elpd import Difference

_MAX_BAD_ROWS = 0.05  # share of the rows
# Of elpd, too small for its standard error to be reliable: Sivula, Magnusson, Matamoros and Vehtari
# (2020), "Uncertainty in Bayesian leave-one-out cross-validation based model comparison",
# arXiv:2008.10296.
SMALL_DIFFERENCE = 4.0
RULES = ("best", "one_se", "chebyshev")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fit with some number of experts, and its predictions of held-out rows.

    Parameters
    ----------
    estimator : estimator
        Fitted to all rows.
    pointwise : ndarray of shape (n_samples,)
        Log density of each row, in units of the target, by leave-one-out or K-fold
        cross-validation.
    in_sample : ndarray of shape (n_samples,)
        Log density of each row given the fit to all rows.
    weight : ndarray of shape (n_samples,)
    bad : ndarray of bool, shape (n_samples,)
        Rows whose leave-one-out density is unreliable; none for K-fold cross-validation.
    converged : bool
        Whether the fit, and those of all folds, passed the convergence checks of ``fit``.
    seconds : float
        Run time of all its fits.
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
        """Weighted sum of ``pointwise``, and its standard error."""
        counts = self.weight > 0
        return Difference(*elpd.sum_and_error(self.pointwise[counts], self.weight[counts]))

    def elpd_difference(self, other: "Candidate") -> Difference:
        """Its elpd minus that of another candidate, with the paired standard error."""
        counts = self.weight > 0
        gap = self.pointwise[counts] - other.pointwise[counts]
        return Difference(*elpd.sum_and_error(gap, self.weight[counts]))


@dataclass(frozen=True, eq=False)
class NExpertsSelection:
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
    refitted : estimator, optional
        A fit of the selected number of experts by the estimator's own engine, if another one
        selected it.
    """

    candidates: dict[int, Candidate]
    criterion: str
    rule: str
    confidence: float
    refitted: Any = None

    @property
    def best(self) -> int:
        """The number of experts with the highest elpd; the smallest one in case of ties."""
        return max(self.candidates, key=lambda m: self.candidates[m].elpd.elpd)

    @property
    def n_experts(self) -> int:
        """The number of experts selected by the rule."""
        if self.rule == "one_se":
            best = self.candidates[self.best]
            behind = {m: best.elpd_difference(each) for m, each in self.candidates.items()}
            return next(m for m, gap in behind.items() if gap.elpd <= max(gap.se, SMALL_DIFFERENCE))
        if self.rule == "chebyshev":
            return max(self.candidates, key=self._lower_bound)
        return self.best

    @property
    def edge(self) -> Literal["smallest", "largest"] | None:
        """Whether the selected number is the smallest or largest tried; None if neither.

        One expert does not count as an edge, since there cannot be fewer, nor does a single number.
        """
        tried = list(self.candidates)
        if len(tried) > 1 and self.n_experts == max(tried):
            return "largest"
        if len(tried) > 1 and self.n_experts == min(tried) > 1:
            return "smallest"
        return None

    @property
    def estimator(self):
        """The estimator with the selected number of experts, fitted to all rows.

        By its own engine, even if another one fitted the candidates.
        """
        if self.refitted is not None:
            return self.refitted
        return self.candidates[self.n_experts].estimator

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
            of parameters. ``n_bad_k``: number of rows with a high Pareto k-hat. ``rhat``,
            ``converged``: of the fit (and all folds). ``collapsed``: number of experts that
            account for less than 1% of the data. ``seconds``: run time of all fits. ``chosen``:
            whether selected by the rule.
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
        """Plot the elpd of each number of experts relative to the best.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to plot on; those of a new figure by default.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        ImportError
            If matplotlib is not installed; the extra ``plot`` installs it.
        """
        from skcocoafuse.plotting import draw_selection

        return draw_selection(self.table, self.untrusted, ax)

    def _lower_bound(self, n_experts: int) -> float:
        return self.candidates[n_experts].elpd.lower_bound(self.confidence)

    def __repr__(self) -> str:
        head = f"{self.n_experts} experts, by {self.criterion} and the rule {self.rule!r}"
        lines = [head, self.table.to_string(float_format=lambda value: f"{value:.2f}")]
        if self.edge:
            lines.append(f"the {self.edge} number tried was selected")
        if self.untrusted:
            lines.append(f"unreliable estimates: n_experts={self.untrusted}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.table.to_html(float_format=lambda value: f"{value:.2f}")
