"""Posterior draws as a table."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from skcocoafuse._monte_carlo import ess, rhat
from skcocoafuse.model.spec import Parameters


class _Row(NamedTuple):
    label: str
    draws: np.ndarray  # (chains, draws)
    meaning: str


def summarize(parameters: Parameters, names: dict[str, list[str]], coverage: float, share):
    """Mean, sd, central interval, R-hat, ESS and meaning of every scalar parameter.

    Parameters
    ----------
    parameters : Parameters
        Arrays with the leading axes (chains, draws), in the units to show.
    names : dict of str to list of str
        Column names of the ``"expert"``, ``"gate"`` and ``"behavior"`` designs.
    coverage : float
    share : ndarray of shape (n_experts,)
        Part of the rows that each expert explains.

    Returns
    -------
    pandas.DataFrame
    """
    import pandas as pd

    rows = [
        *_expert_rows(parameters, names["expert"], share),
        *_gate_rows(parameters, names["gate"]),
        *_behavior_rows(parameters, names["behavior"]),
    ]
    draws = np.stack([row.draws for row in rows], axis=-1)
    tails = [0.5 * (1 - coverage), 0.5 * (1 + coverage)]
    lower, upper = np.quantile(draws, tails, axis=(0, 1))
    return pd.DataFrame(
        {
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


def _expert_rows(p: Parameters, names: list[str], share) -> Iterator[_Row]:
    for k in range(p.sigma.shape[-1]):
        who = f"expert {k}"
        explains = f"the line that explains {share[k]:.0%} of the rows: its value at inputs of 0"
        yield _Row(f"{who}: intercept", p.expert_intercept[..., k], explains)
        for j, name in enumerate(names):
            meaning = f"slope of that line: change of the target per unit of {name}"
            yield _Row(f"{who}: {name}", p.expert_coef[..., k, j], meaning)
        meaning = "standard deviation of the noise around that line"
        yield _Row(f"{who}: sigma", p.sigma[..., k], meaning)


def _gate_rows(p: Parameters, names: list[str]) -> Iterator[_Row]:
    for k in range(p.sigma.shape[-1]):
        who = f"gate {k}"
        meaning = f"log of expert {k}'s weight beside the typical expert's, at inputs of 0"
        yield _Row(f"{who}: intercept", p.gate_intercept[..., k], meaning)
        for j, name in enumerate(names):
            meaning = f"change of that log weight per unit of {name}"
            yield _Row(f"{who}: {name}", p.gate_coef[..., k, j], meaning)


def _behavior_rows(p: Parameters, names: list[str]) -> Iterator[_Row]:
    if p.behavior_intercept is None:
        return
    meaning = (
        "log odds that experts are alternatives (mixed), not averaged (blended), at inputs of 0"
    )
    yield _Row("behavior: intercept", p.behavior_intercept, meaning)
    for j, name in enumerate(names):
        meaning = f"change of these log odds per unit of {name}"
        yield _Row(f"behavior: {name}", p.behavior_coef[..., j], meaning)
