"""Posterior draws as a table."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from skcocoafuse.model.parameters import COEF, INTERCEPT, PARAMETERS, PARTS, Parameters
from skcocoafuse.posterior.monte_carlo import ess, rhat

#: What ``sigma`` is, of Normal noise and of Student's t.
_SPREAD, _SCALE = "standard deviation of the noise", "scale of Student's t noise"


class _Row(NamedTuple):
    part: str
    expert: int | None
    feature: str  # or the name of what belongs to no column
    draws: np.ndarray  # (chains, draws)
    meaning: str

    @property
    def label(self) -> str:
        who = self.part if self.expert is None else f"{self.part} {self.expert}"
        return f"{who}: {self.feature}"


def summarize(parameters: Parameters, names: dict[str, list[str]], coverage: float, share):
    """Mean, sd, central interval, R-hat, ESS and meaning of every scalar parameter.

    Parameters
    ----------
    parameters : Parameters
        Arrays with the leading axes (chains, draws), in the units to show.
    names : dict of str to list of str
        Column names of the design of each part.
    coverage : float
    share : ndarray of shape (n_experts,)
        Share of the data that each expert accounts for.

    Returns
    -------
    pandas.DataFrame
    """
    import pandas as pd

    rows = list(_rows(parameters, names, share))
    draws = np.stack([row.draws for row in rows], axis=-1)
    tails = [0.5 * (1 - coverage), 0.5 * (1 + coverage)]
    lower, upper = np.quantile(draws, tails, axis=(0, 1))
    return pd.DataFrame(
        {
            "part": [row.part for row in rows],
            "expert": pd.array([row.expert for row in rows], dtype="Int64"),
            "feature": [row.feature for row in rows],
            "mean": draws.mean(axis=(0, 1)),
            "sd": draws.std(axis=(0, 1)),
            "lower": lower,
            "upper": upper,
            "rhat": rhat(draws),
            "ess": ess(draws),
            "meaning": [row.meaning for row in rows],
        },
        index=pd.Index([row.label for row in rows], name="parameter"),
    )


def _rows(parameters: Parameters, names: dict[str, list[str]], share) -> Iterator[_Row]:
    """Rows for all parameters, part by part, with those of an expert together."""
    there = {n: row for n, row in PARAMETERS.items() if getattr(parameters, n) is not None}
    for part in PARTS:
        own = {name: row for name, row in there.items() if row.part == part}
        each_expert = any(row.of_experts for row in own.values())
        for k in [*range(len(share)), None] if each_expert else [None]:
            facts: dict[str, Any] = {"spread": _SPREAD if parameters.noise_df is None else _SCALE}
            facts |= {} if k is None else {"k": k, "share": share[k]}
            for name, row in own.items():
                if row.of_experts != (k is not None):
                    continue
                draws = getattr(parameters, name)
                if row.of_experts:
                    draws = draws[:, :, k]
                if row.role == COEF:
                    for j, column in enumerate(names[part]):
                        own_draws = draws[..., j]
                        if "{ratio}" in row.words:  # slopes of others may be too large for exp
                            with np.errstate(over="ignore"):
                                facts["ratio"] = f"{np.expm1(own_draws.mean()):+.0%}"
                        yield _Row(part, k, column, own_draws, row.words.format(**facts))
                else:
                    label = row.role if row.role == INTERCEPT else name
                    yield _Row(part, k, label, draws, row.words.format(**facts))
