"""Fits of earlier releases, in which the noise was constant or always Normal, as those of today."""

from dataclasses import replace
from typing import Any

import numpy as np

from skcocoafuse.model.design import DesignPart, Scale
from skcocoafuse.model.parameters import NOISE, NORMAL, complete_priors
from skcocoafuse.model.posing import Posed


def upgraded(state: dict[str, Any]) -> dict[str, Any]:
    """The state of an unpickled estimator, with what a release did not have yet."""
    if "noise" in state:
        return state
    had_inputs = "noise_features" in state
    state = {"noise_features": (), **state, "noise": NORMAL}
    if "_posed" in state:
        posed, found = state["_posed"], state["posterior_"]
        if not had_inputs:
            posed = _with_constant_noise(posed)
            none = np.zeros((*found.parameters.sigma.shape, 0))
            found = replace(found, parameters=found.parameters._replace(noise_coef=none))
            state["noise_coef_"] = none[0, 0]
        spec = replace(posed.problem.spec, priors=complete_priors(posed.problem.spec.priors))
        state["_posed"] = replace(posed, problem=replace(posed.problem, spec=spec))
        state["posterior_"] = replace(found, spec=spec)
        state["noise_df_"] = np.inf
    return state


def constant_noise() -> DesignPart:
    """The noise's part of a model in which it has no inputs."""
    return DesignPart(np.zeros(0, dtype=int), None, Scale(np.zeros(0), np.ones(0)), [])


def _with_constant_noise(posed: Posed) -> Posed:
    problem, rows = posed.problem, posed.problem.rows
    spec = replace(problem.spec, n_features={**problem.spec.n_features, NOISE: 0})
    rows = replace(rows, designs={**rows.designs, NOISE: np.zeros((rows.n_rows, 0))})
    problem = replace(problem, spec=spec, rows=rows)
    return replace(posed, problem=problem, designs={**posed.designs, NOISE: constant_noise()})
