"""Fits of earlier releases, in which the noise had no inputs, as fits of this one."""

from dataclasses import replace
from typing import Any

import numpy as np

from skcocoafuse.model.design import DesignPart, Scale
from skcocoafuse.model.parameters import NOISE, complete_priors
from skcocoafuse.model.posing import Posed
from skcocoafuse.posterior.draws import Posterior


def upgraded(state: dict[str, Any]) -> dict[str, Any]:
    """The state of an unpickled estimator, with a constant noise if it had no inputs yet."""
    if "noise_features" in state:
        return state
    state = {**state, "noise_features": ()}
    if "_posed" in state:
        state["_posed"] = posed = _posed(state["_posed"])
        state["posterior_"] = found = _posterior(state["posterior_"], posed)
        state["noise_coef_"] = np.zeros((found.spec.n_experts, 0))
    return state


def constant_noise() -> DesignPart:
    """The noise's part of a model in which it has no inputs."""
    return DesignPart(np.zeros(0, dtype=int), None, Scale(np.zeros(0), np.ones(0)), [])


def _posed(posed: Posed) -> Posed:
    problem, rows = posed.problem, posed.problem.rows
    spec = replace(
        problem.spec,
        n_features={**problem.spec.n_features, NOISE: 0},
        priors=complete_priors(problem.spec.priors),
    )
    rows = replace(rows, designs={**rows.designs, NOISE: np.zeros((rows.n_rows, 0))})
    problem = replace(problem, spec=spec, rows=rows)
    return replace(posed, problem=problem, designs={**posed.designs, NOISE: constant_noise()})


def _posterior(posterior: Posterior, posed: Posed) -> Posterior:
    none = np.zeros((*posterior.parameters.sigma.shape, 0))
    parameters = posterior.parameters._replace(noise_coef=none)
    return replace(posterior, spec=posed.problem.spec, parameters=parameters)
