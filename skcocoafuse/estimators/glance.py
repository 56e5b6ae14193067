"""A fitted model at a glance, for notebooks."""

from html import escape

import numpy as np

from skcocoafuse.evaluation import fit_warnings, verdicts
from skcocoafuse.model.parameters import EXPERT
from skcocoafuse.posterior.fit import Fit

_MOST_SLOPES = 6  # in the table; summary() has all
_LIGHTS = {"green": "#2e7d32", "amber": "#e69f00", "red": "#c62828"}
_SAID = {
    "green": "Converged.",
    "amber": "Read before use.",
    "red": "Not reliable.",
}
_SINGLE_DRAW = (
    "A single draw, as with inference='map': nothing is known of the uncertainty of parameters."
)


def light(diagnostics: dict) -> str:
    """A fit's verdict: "green", "amber" or "red".

    Red if chains disagree or draws do not represent the posterior, amber for other warnings of
    ``fit`` and for a single draw, which cannot be judged.
    """
    if not verdicts.settled(diagnostics):
        return "red"
    return "amber" if _remarks(diagnostics) else "green"


def html(fit: Fit) -> str:
    """The verdict on a fit, its warnings, and its experts in original units."""
    found = fit.diagnostics
    color = light(found)
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in _remarks(found))
    return (
        f'<div><p><span style="color:{_LIGHTS[color]}" title="{color}">&#9679;</span> '
        f"<b>{_SAID[color]}</b> {fit.problem.rows.n_rows} rows, {_draws(found)}.</p>"
        f"{f'<ul>{remarks}</ul>' if remarks else ''}{_experts(fit)}</div>"
    )


def _draws(diagnostics: dict) -> str:
    """Number of draws, and how well they represent the posterior, in words."""
    n_chains, n_draws = diagnostics["n_chains"], diagnostics["n_draws"]
    if "pareto_k" in diagnostics:
        k = diagnostics["pareto_k"]
        return f"{n_chains * n_draws} draws of an approximation, Pareto k-hat {k:.2f}"
    if n_chains * n_draws == 1:
        return "1 draw"
    return (
        f"{n_chains} chains of {n_draws} draws, R-hat {diagnostics['rhat']:.2f}, "
        f"smallest effective sample size {diagnostics['ess']:.0f}"
    )


def _remarks(diagnostics: dict) -> list[str]:
    remarks = list(fit_warnings.messages(diagnostics).values())
    single = diagnostics["n_chains"] * diagnostics["n_draws"] == 1
    return [*remarks, _SINGLE_DRAW] if single else remarks


def _experts(fit: Fit) -> str:
    """Posterior mean and standard deviation of every expert's line and noise, as a table.

    If there are many columns, those with the largest slopes per standard deviation of the column.
    """
    import pandas as pd

    draws = fit.posed.units.undo(fit.posterior.main_cluster().flat())
    design = fit.posed.designs[EXPERT]
    size = np.abs(draws.expert_coef.mean(axis=0) * design.scale.scale).max(axis=0)
    shown = np.sort(np.argsort(-size, kind="stable")[:_MOST_SLOPES])
    table = {"share of the data": [f"{share:.0%}" for share in fit.diagnostics["expert_share"]]}
    table["at inputs of 0"] = _told(draws.expert_intercept)
    for j in shown:
        table[f"slope of {design.names[j]}"] = _told(draws.expert_coef[..., j])
    table["noise" if draws.noise_df is None else "scale of noise"] = _told(draws.sigma)
    index = pd.Index([f"expert {k}" for k in range(draws.sigma.shape[1])])
    left_out = len(size) - len(shown)
    more = f"<p>{left_out} smaller slopes are in summary().</p>" if left_out else ""
    return pd.DataFrame(table, index=index).to_html() + more


def _told(draws: np.ndarray) -> list[str]:
    """Mean and standard deviation of draws (draws, experts), for each expert."""
    if len(draws) == 1:
        return [f"{value:.3g}" for value in draws[0]]
    pairs = zip(draws.mean(axis=0), draws.std(axis=0), strict=True)
    return [f"{mean:.3g} \u00b1 {sd:.2g}" for mean, sd in pairs]
