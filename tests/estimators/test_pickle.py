"""A fitted estimator travels, by four ways: it predicts where no sampler can be imported."""

import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.preprocessing import PolynomialFeatures

from skcocoafuse import MoERegressor, Prior
from tests.conftest import REGRESSORS

# what skops wants to be told of a fit, as the user guide lists it
SKOPS_TYPES = [
    "skcocoafuse.estimators.experts.BoERegressor",
    "skcocoafuse.estimators.experts.CoCoAFusERegressor",
    "skcocoafuse.estimators.experts.MoERegressor",
    "skcocoafuse.model.design.DesignPart",
    "skcocoafuse.model.design.Scale",
    "skcocoafuse.model.recorded.RecordedInputs",
    "skcocoafuse.model.posing.Posed",
    "skcocoafuse.model.priors.Prior",
    "skcocoafuse.model.problem.Problem",
    "skcocoafuse.model.rows.RowsInMemory",
    "skcocoafuse.model.spec.Block",
    "skcocoafuse.model.spec.ModelSpec",
    "skcocoafuse.model.parameters.Parameters",
    "skcocoafuse.posterior.draws.Posterior",
]


def write_pickle(model, path):
    path.write_bytes(pickle.dumps(model))


def write_by_save(model, path):
    model.save(path)


# how to keep a fit, and the code that gets it back
WAYS = {
    "pickle": (write_pickle, "import pickle; model = pickle.load(open(path, 'rb'))"),
    "joblib": (joblib.dump, "import joblib; model = joblib.load(path)"),
    "skops": (
        skops.io.dump,
        f"import skops.io; model = skops.io.load(path, trusted={SKOPS_TYPES})",
    ),
    "save": (write_by_save, "import skcocoafuse; model = skcocoafuse.load(path)"),
}

_PREDICTIONS = """
def predictions(model, X, y):
    return {
        "predict": model.predict(X), "interval": model.predict_interval(X),
        "quantiles": model.predict_quantiles(X), "sample": model.sample_y(X, 3, random_state=0),
        "log_prob": model.log_prob(X, y), "gate": model.predict_gate(X),
        "experts": model.predict_experts(X), "behavior": model.predict_behavior(X),
        "responsibilities": model.responsibilities(X, y), "score": np.array(model.score(X, y)),
    }
"""

_BEHIND_A_WALL = """
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"pymc", "pytensor", "nutpie", "arviz"}:
            raise ImportError(f"{name} is forbidden here")

sys.meta_path.insert(0, Wall())
import numpy as np

path, data, out = sys.argv[1:]
%(read)s
np.savez(out, **predictions(model, **np.load(data)))
"""


@pytest.mark.parametrize("way", WAYS)
def test_predicts_the_same_without_any_sampler(way, nuts_transition, transition, tmp_path):
    model = nuts_transition["CoCoAFusERegressor"]
    X, y = transition[2][:40], transition[3][:40]
    path, data, out = tmp_path / "model", tmp_path / "data.npz", tmp_path / "out.npz"
    write, read = WAYS[way]
    write(model, path)
    np.savez(data, X=X, y=y)
    code = _PREDICTIONS + _BEHIND_A_WALL % {"read": read}
    subprocess.run([sys.executable, "-c", code, path, data, out], check=True)
    here = {"np": np}
    exec(_PREDICTIONS, here)
    expected = here["predictions"](model, X, y)
    found = np.load(out)
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_skops_asks_for_the_listed_types_only(regressor, transition):
    X, y = transition[:2]
    parameters = {"inference": "map", "priors": {"sigma": Prior("half_normal")}}
    if regressor is not MoERegressor:
        parameters["expert_features"] = PolynomialFeatures(2)
    model = regressor(**parameters).fit(X, y)
    content = skops.io.dumps(model)
    asked = skops.io.get_untrusted_types(data=content)
    assert set(asked) <= set(SKOPS_TYPES)
    again = skops.io.loads(content, trusted=asked)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.posterior_.spec == model.posterior_.spec
    page = Path(__file__).parents[2] / "doc" / "user_guide" / "keeping.rst"
    guide = page.read_text(encoding="utf-8")
    assert all(f'"{name.removeprefix("skcocoafuse.")}"' in guide for name in asked)


@pytest.mark.parametrize("way", WAYS)
def test_what_comes_back_can_be_looked_at_and_fitted(way, nuts_transition, transition, tmp_path):
    X, y = transition[:2]
    model, path = nuts_transition["MoERegressor"], tmp_path / "model"
    write, read = WAYS[way]
    write(model, path)
    names = {"path": path}
    exec(read, names)
    again = names["model"]
    pd.testing.assert_frame_equal(again.summary(), model.summary())
    np.testing.assert_equal(again.diagnostics_, model.diagnostics_)
    assert again.get_params() == model.get_params()
    assert clone(again).set_params(inference="map").fit(X, y).score(X, y) > 0


def test_pickles_are_no_larger_than_their_draws(nuts_transition):
    model = nuts_transition["CoCoAFusERegressor"]
    numbers = (
        sum(a.size for a in model.posterior_.parameters if a is not None)
        + 5 * model.posterior_.log_posterior.size
    )
    assert len(pickle.dumps(model)) < 8 * numbers + 20_000
