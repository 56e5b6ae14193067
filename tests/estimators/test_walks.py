"""What ``fit`` does to the data and to the draws, it does once."""

import sys
from collections import Counter

import numpy as np
import pytest
import scipy.stats
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor
from skcocoafuse.inference import ENGINES, EngineResult
from skcocoafuse.model.parameters import Parameters
from skcocoafuse.model.spec import ModelSpec
from tests.conftest import fit_quietly
from tests.problems import make_problem

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2))
Y = X[:, 0] + 0.3 * RNG.normal(size=40)
CALLS: Counter = Counter()


class Counted(BaseEstimator):
    """Squares of columns; clones count together, by their label."""

    def __init__(self, label="it"):
        self.label = label

    def fit(self, X):
        CALLS[self.label, "fit"] += 1
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        CALLS[self.label, "transform"] += 1
        return np.asarray(X) ** 2


class Mixed(TransformerMixin, Counted):
    """With the ``fit_transform`` of scikit-learn's mixin."""

    def fit(self, X, y=None):
        assert y is None
        return super().fit(X)


class AtOnce(Counted):
    """With a ``fit_transform`` of its own, whose rows differ from those of ``transform``."""

    def fit_transform(self, X, y=None):
        assert y is None  # no part of the model sees the target
        CALLS[self.label, "fit_transform"] += 1
        self.n_features_in_ = X.shape[1]
        return np.asarray(X) ** 2 + 1e-3 * np.arange(len(X))[:, None]


@pytest.fixture(autouse=True)
def counts():
    CALLS.clear()
    return CALLS


@pytest.mark.parametrize(
    ("kind", "walks"),
    [
        (Counted, {"fit": 1, "transform": 1}),
        (Mixed, {"fit": 1, "transform": 1}),
        (AtOnce, {"fit_transform": 1}),
    ],
)
def test_a_transformer_sees_the_rows_of_fit_once(kind, walks, counts):
    parts = {f"{part}_features": kind(part) for part in ("expert", "gate", "behavior")}
    model = CoCoAFusERegressor(inference="map", random_state=0, **parts)
    expected = {(p, call): n for p in ("expert", "gate", "behavior") for call, n in walks.items()}
    model.fit(X, Y)
    assert counts == expected
    counts.clear()
    model.build_model(X, Y)
    assert counts == expected
    counts.clear()
    model.sample_prior_predictive(X, Y, n_samples=2)
    assert counts == expected


def test_one_transformer_for_two_parts_is_a_clone_for_each(counts):
    shared = Counted()
    MoERegressor(inference="map", expert_features=shared, gate_features=shared).fit(X, Y)
    assert counts == {("it", "fit"): 2, ("it", "transform"): 2}
    assert not hasattr(shared, "n_features_in_")


def test_the_model_learns_from_what_fit_transform_returned():
    """As in a Pipeline, whose regressor sees that of the rows of ``fit`` as well."""
    model = BoERegressor(1, inference="map", standardize=False, expert_features=AtOnce())
    model.fit(X, Y)
    seen = model.to_arviz()["constant_data"]["X_expert"].values
    np.testing.assert_allclose(seen, clone(AtOnce()).fit_transform(X))
    ahead = BoERegressor(1, inference="map", standardize=False).fit(seen, Y)
    np.testing.assert_array_equal(ahead.expert_coef_, model.expert_coef_)
    np.testing.assert_array_equal(model.predict(X), ahead.predict(X**2))


@pytest.mark.parametrize(
    "transformer",
    [
        StandardScaler(copy=False),
        KBinsDiscretizer(3, subsample=20, random_state=0, quantile_method="linear"),
    ],
    ids=lambda t: type(t).__name__,
)
def test_the_design_is_that_of_a_transformer_fitted_outside(transformer):
    inside = MoERegressor(inference="map", random_state=0, expert_features=transformer)
    inside.set_params(gate_features=[0]).fit(X, Y)
    found = inside.to_arviz()["constant_data"]["X_expert"].values
    expected = clone(transformer).fit_transform(X.copy())
    expected = expected.toarray() if hasattr(expected, "toarray") else expected
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_transformer_that_returns_no_rows_of_its_own_is_named():
    class Short(Counted):
        def fit_transform(self, X):
            return X[1:]

    model = MoERegressor(inference="map", gate_features=Short())
    with pytest.raises(ValueError, match=r"gate_features must return a matrix with a row per"):
        model.fit(X, Y)


def test_draws_are_unpacked_relabeled_and_judged_once(monkeypatch):
    """R-hat of location and that of scale, and the ESS: three rankings of chains that agree."""
    problem = make_problem(2, (2, 2, 0), behavior=1.0)
    theta = 1.0 + 0.1 * RNG.normal(size=(2, 50, problem.spec.n_parameters))
    result = EngineResult(theta, RNG.normal(size=(2, 50)))
    engine = ENGINES["map"]
    monkeypatch.setattr(sys.modules[engine.module], "sample", lambda *_: result)
    calls = Counter()

    def count(owner, name):
        function = getattr(owner, name)

        def counted(*args, **kwargs):
            calls[name] += 1
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)

    count(ModelSpec, "unpack")
    count(Parameters, "permute_experts")
    count(scipy.stats, "rankdata")
    fit_quietly(MoERegressor(inference="map"), X, Y)
    assert calls == {"unpack": 1, "permute_experts": 1, "rankdata": 3}
