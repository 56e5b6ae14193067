"""Models side by side: differences, paired errors, stacking, choice by a lower bound."""

import functools
import pickle
import warnings
from dataclasses import replace

import arviz
import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcocoafuse import BoERegressor, LooResult, MoERegressor, compare, loo
from skcocoafuse.exceptions import InfluentialRowsWarning
from tests.evaluation.test_elpd import arviz_loo, result_of


@pytest.fixture(scope="module")
def models(once, switch):
    """A mixture, a blend and a line, 900 draws each."""
    X, y = switch[:2]
    sampler = {"draws": 450, "tune": 300, "chains": 2, "random_state": 0}
    estimators = {"mix": MoERegressor(), "blend": BoERegressor(), "line": BoERegressor(1)}
    makers = {
        f"compared {name}": functools.partial(estimator.set_params(**sampler).fit, X, y)
        for name, estimator in estimators.items()
    }
    return dict(zip(estimators, once(makers).values(), strict=True))


@pytest.fixture(scope="module")
def compared(models):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InfluentialRowsWarning)
        return compare(models)


def test_is_that_of_arviz(models, compared):
    """Differences and their errors; the releases of ArviZ differ in sign and names."""
    theirs = {name: arviz_loo(model, reff=1.0) for name, model in models.items()}
    table = arviz.compare(theirs)
    order = list(compared.table.index)
    assert order == list(table.index)
    if "diag_diff" in table:  # rounded for display
        gap, error, places = -table["elpd_diff"].astype(float), table["dse"].astype(float), 1
    else:
        gap, error, places = table["elpd_diff"], table["dse"], 6
    ours = compared.table
    np.testing.assert_allclose(ours["elpd_diff"], gap, atol=0.6 * 10.0**-places, rtol=0.02)
    np.testing.assert_allclose(ours["diff_se"], error, atol=0.6 * 10.0**-places, rtol=0.02)
    np.testing.assert_allclose(ours["weight"], table["weight"].astype(float), atol=0.02)


def test_table(compared):
    table = compared.table
    assert table.index.name == "model"
    assert list(table.columns) == [
        *("rank", "elpd", "se", "p_loo", "elpd_lower", "elpd_diff", "diff_se", "diff_lower"),
        *("weight", "n_bad_k", "converged"),
    ]
    assert table["rank"].tolist() == [0, 1, 2]
    assert table.index[0] == "mix"
    assert table["elpd"].is_monotonic_decreasing
    assert table["weight"].sum() == pytest.approx(1.0)
    assert (table["diff_lower"][1:] > 0).all()  # a switch is no blend
    result = compared.results["mix"]
    assert table.loc["mix", "elpd_lower"] == result.lower_bound(0.95)
    assert table.loc["mix", "elpd_lower"] == pytest.approx(result.elpd - result.se / np.sqrt(0.05))
    assert "elpd_lower" in repr(compared)
    assert "<table" in compared._repr_html_()
    assert repr(pickle.loads(pickle.dumps(compared))) == repr(compared)


def test_differences_are_paired():
    one, two = result_of([-1.0, -2.0, -3.0]), result_of([-1.5, -2.0, -5.0])
    compared = compare({"two": two, "one": one}, confidence=0.75)
    difference = compared.difference("one", "two")
    gaps = np.array([0.5, 0.0, 2.0])
    assert difference.elpd == pytest.approx(2.5)
    assert difference.se == pytest.approx(np.sqrt(3 * gaps.var()))
    assert difference.lower_bound(0.75) == pytest.approx(2.5 - 2.0 * difference.se)
    assert compared.difference("two", "one").elpd == pytest.approx(-2.5)
    assert compared.table.loc["two", "diff_lower"] == pytest.approx(difference.lower_bound(0.75))
    assert compared.weights["one"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"No model is named 'three'; known: \['one', 'two'\]"):
        compared.difference("one", "three")


def test_choice_by_a_bound_is_careful():
    """The best sum may be the least certain."""
    steady, wild = result_of(np.full(20, -2.0)), result_of(np.tile([-7.0, 3.1], 10))
    compared = compare({"steady": steady, "wild": wild})
    assert compared.table.index[0] == "wild"
    assert compared.select() == "steady"
    assert compared.select(0.5, kind="normal") == "wild"


def test_weights_are_copies_and_rows_of_weight_0_need_not_be_there():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 8)) - 2.0
    weight = np.array([0, 1, 2, 1, 3, 1, 1, 0])
    y = np.arange(8.0)

    def table(rows, weight):
        pair = [result_of(v[rows], weight, y=y[rows]) for v in (one, two)]
        return compare(dict(zip("ab", pair, strict=True))).table

    weighted = table(np.arange(8), weight)
    copies = np.repeat(np.arange(8), weight)
    np.testing.assert_allclose(
        weighted.to_numpy(dtype=float), table(copies, np.ones(9)).to_numpy(dtype=float), atol=1e-6
    )
    counting = np.flatnonzero(weight)
    with_fewer = {"a": result_of(one, weight, y=y)}
    with_fewer["b"] = result_of(two[counting], weight[counting], y=y[counting])
    assert compare(with_fewer).table.equals(weighted)


# -- through meta-estimators -------------------------------------------------------------------


def test_sees_through_wrappers(switch):
    X, y = switch[0][:80], switch[1][:80]
    model = MoERegressor(1, inference="vi", draws=300, random_state=0)
    alone = model.fit(X, y).loo()
    search = GridSearchCV(model, {"n_experts": [1]}, cv=2).fit(X, y)
    for wrapped in (make_pipeline(model).fit(X, y), search):
        np.testing.assert_array_equal(loo(wrapped).pointwise, alone.pointwise)
    scaled = TransformedTargetRegressor(model, transformer=StandardScaler()).fit(X, y)
    np.testing.assert_allclose(loo(scaled).pointwise, alone.pointwise, atol=1e-6)
    np.testing.assert_allclose(loo(scaled).y, y)
    minus = TransformedTargetRegressor(model, func=np.negative, inverse_func=np.negative)
    turned = loo(minus.fit(X, y))
    assert np.corrcoef(turned.pit, alone.pit)[0, 1] > 0.99
    assert compare({"as it is": model, "negative": minus}).table["elpd_diff"].max() < 0.5


def test_the_slope_of_a_transformation_counts(switch):
    """A model of logs is compared in units of the target."""
    X, y = switch[0][:80], np.exp(switch[1][:80])
    model = MoERegressor(1, inference="vi", draws=300, random_state=0)
    logs = TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp).fit(X, y)
    plain = loo(logs.regressor_)
    assert loo(logs).elpd == pytest.approx(plain.elpd - np.log(y).sum())
    assert loo(logs).p_loo == pytest.approx(plain.p_loo)


# -- messages ----------------------------------------------------------------------------------

A = result_of([-1.0, -2.0, -3.0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([A, A],), TypeError, "must be a dictionary.*got list"),
        (({"a": A},), ValueError, r"at least two.*got \['a'\]"),
        (({"a": A, "b": LinearRegression()},), TypeError, "LinearRegression has no leave-one-out"),
        (
            ({"a": A, "b": result_of([1.0])},),
            ValueError,
            "'a' has 3 of positive weight, 'b' 1.*same order",
        ),
        (
            ({"a": A, "b": replace(A, y=np.array([0.0, 2.0, 1.0]))},),
            ValueError,
            "y of 'a' and 'b' differs in 2 of 3, first in row 1: 1 and 2.*same order",
        ),
        (
            ({"a": A, "b": replace(A, weight=np.array([1.0, 1.0, 2.0]))},),
            ValueError,
            "weight of 'a' and 'b' differs in 1 of 3, first in row 2",
        ),
        (({"a": A, "b": MoERegressor()},), NotFittedError, "not fitted yet"),
    ],
)
def test_bad_models(arguments, error, message):
    with pytest.raises(error, match=message):
        compare(*arguments)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"confidence": 1.0}, ValueError, "confidence must be .* strictly between 0 and 1"),
        ({"confidence": [0.9, 0.95]}, TypeError, "confidence must be a number"),
        ({"kind": "markov"}, ValueError, "kind must be one of .*got 'markov'"),
    ],
)
def test_bad_bounds(bad, error, message):
    with pytest.raises(error, match=message):
        compare({"a": A, "b": A}, **bad)


def test_a_search_without_refit_has_nothing_to_say(switch):
    X, y = switch[0][:40], switch[1][:40]
    model = MoERegressor(inference="map", random_state=0)
    search = GridSearchCV(model, {"n_experts": [1]}, cv=2, refit=False).fit(X, y)
    with pytest.raises(TypeError, match=r"GridSearchCV has no leave-one-out.*refit=True"):
        loo(search)


def test_the_warning_names_the_model(monkeypatch, switch):
    X, y = switch[0][:40], switch[1][:40]
    model = MoERegressor(1, inference="vi", draws=100, random_state=0).fit(X, y)
    bad: LooResult = replace(model.loo(), pareto_k=np.full(40, 0.9))
    monkeypatch.setattr(model, "loo", lambda **_: bad)
    with pytest.warns(InfluentialRowsWarning, match="40 of 40 rows of model 'b'") as seen:
        compared = compare({"a": replace(bad, pareto_k=np.zeros(40)), "b": model})
    assert seen[0].filename == __file__
    assert compared.table["n_bad_k"].to_dict() == {"a": 0, "b": 40}
    with pytest.warns(InfluentialRowsWarning, match="40 of 40 rows are unreliable"):
        loo(model)
