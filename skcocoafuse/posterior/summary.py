"""Posterior draws as a table."""

import numpy as np

from skcocoafuse._arviz import ess
from skcocoafuse._monte_carlo import rhat
from skcocoafuse.model.spec import Parameters


def summarize(parameters: Parameters, names: dict[str, list[str]], coverage: float):
    """Mean, sd, central interval, R-hat and ESS of every scalar parameter.

    Parameters
    ----------
    parameters : Parameters
        Arrays with the leading axes (chains, draws), in the units to show.
    names : dict of str to list of str
        Column names of the ``"expert"``, ``"gate"`` and ``"behavior"`` designs.
    coverage : float

    Returns
    -------
    pandas.DataFrame
    """
    import pandas as pd

    rows = _labelled(parameters, names)
    draws = np.stack([values for _, values in rows], axis=-1)
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
        },
        index=pd.Index([label for label, _ in rows], name="parameter"),
    )


def _labelled(p: Parameters, names: dict[str, list[str]]) -> list[tuple[str, np.ndarray]]:
    """Every scalar with its label, expert by expert; (chains, draws) each."""
    rows = []
    for k in range(p.sigma.shape[-1]):
        rows.append((f"expert {k}: intercept", p.expert_intercept[..., k]))
        for j, name in enumerate(names["expert"]):
            rows.append((f"expert {k}: {name}", p.expert_coef[..., k, j]))
        rows.append((f"expert {k}: sigma", p.sigma[..., k]))
    for k in range(p.sigma.shape[-1]):
        rows.append((f"gate {k}: intercept", p.gate_intercept[..., k]))
        for j, name in enumerate(names["gate"]):
            rows.append((f"gate {k}: {name}", p.gate_coef[..., k, j]))
    if p.behavior_intercept is not None:
        rows.append(("behavior: intercept", p.behavior_intercept))
        for j, name in enumerate(names["behavior"]):
            rows.append((f"behavior: {name}", p.behavior_coef[..., j]))
    return rows
