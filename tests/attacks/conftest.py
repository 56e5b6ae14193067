"""Fits that are kept, for files of them to be attacked."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_union
from sklearn.preprocessing import PolynomialFeatures, SplineTransformer, StandardScaler

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor, Prior
from tests.conftest import fit_quietly

ROOT = Path(__file__).parents[2]


def run(module: str, *arguments, timeout: int) -> dict:
    """What a module of this folder says in the end, as JSON, run in a process of its own.

    It fails if the process does: by a signal, by its own watchdog, or by lack of an end.
    """
    command = [sys.executable, "-m", f"tests.attacks.{module}", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{done.returncode}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return json.loads(done.stdout.splitlines()[-1])  # scikit-learn prints what is `verbose`


@pytest.fixture(scope="session")
def fits(once, transition):
    """Of three engines, the three regressors, and with most of what a file can hold."""
    rng = np.random.default_rng(0)
    x, y = transition[0][:80, 0], transition[1][:80]
    X = np.column_stack([x, rng.normal(size=80)])
    basis = make_union(SplineTransformer(n_knots=4, degree=2), StandardScaler())
    quadratic = make_column_transformer((PolynomialFeatures(2), [0]), remainder="passthrough")
    models = {
        "map": BoERegressor(inference="map", expert_features=basis, random_state=0),
        "vi": MoERegressor(
            inference="vi",
            draws=40,
            chains=2,
            expert_features=quadratic,
            gate_features=np.array([0]),
            priors={"sigma": Prior("half_normal", scale=0.5)},
            random_state=np.random.RandomState(5),
        ),
        "nuts": CoCoAFusERegressor(
            draws=30, tune=40, chains=2, behavior_features=PolynomialFeatures(2), random_state=0
        ),
    }
    makers = {f"attacked {n}": functools.partial(fit_quietly, m, X, y) for n, m in models.items()}
    return dict(zip(models, once(makers).values(), strict=True))


@pytest.fixture(scope="session")
def files(fits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacked")
    for name, model in fits.items():
        model.save(folder / f"{name}.nc")
    return {name: folder / f"{name}.nc" for name in fits}
