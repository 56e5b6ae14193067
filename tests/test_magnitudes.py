"""Numbers whose squares are none are refused by name, before anything is computed."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.preprocessing import FunctionTransformer

from skcocoafuse import CoCoAFusERegressor, MoERegressor
from skcocoafuse.datasets import make_transition
from skcocoafuse.inference import ENGINE_NAMES

X, Y = make_transition(30, random_state=0)
X = np.column_stack([X, X[:, 0] ** 2])
ONES = np.ones(30)


def with_one(values, value):
    values = values.copy()
    values[3] = value
    return values


def scaled(factor):
    return np.column_stack([X[:, 0], X[:, 1] * factor])


def model(**params):
    return CoCoAFusERegressor(**{"inference": "map", "n_jobs": 1, "random_state": 0, **params})


EXTREME = {
    "y scaled": (X, Y * 1e200, None, r"y must be at most 1e\+150"),
    "one y": (X, with_one(Y, -1e300), None, r"y must be.*got -1e\+300.*another unit"),
    "weights": (X, Y, ONES * 1e100, r"sample_weight must sum to at most 1e\+15.*1e\+100"),
    "one weight": (X, Y, with_one(ONES, 1e100), "sample_weight must"),
    "overflowing sum": (X, Y, ONES * 1e308, "sample_weight must"),
    "column scaled": (scaled(1e200), Y, None, "Column 'x1' of X.*must be at most"),
    "one x": (np.column_stack([X[:, 0], with_one(X[:, 1], 1e300)]), Y, None, "Column 'x1' of X"),
    "frame": (pd.DataFrame(scaled(1e200), columns=["a", "b"]), Y, None, "Column 'b' of X"),
}


@pytest.mark.parametrize("inference", ENGINE_NAMES)
@pytest.mark.parametrize("case", EXTREME)
def test_extreme_magnitudes_are_refused(case, inference):
    X, y, weight, message = EXTREME[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=message):
            model(inference=inference).fit(X, y, weight)


@pytest.mark.parametrize("inference", ["map", "vi"])
def test_inputs_as_they_are_leave_digits_to_an_intercept(inference):
    plain = model(inference=inference, standardize=False, draws=20)
    with pytest.raises(ValueError, match=r"Column 'x1' of X.*at most 1e\+15 .*standardize=False"):
        plain.fit(scaled(1e30), Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert np.isfinite(plain.fit(scaled(1e12), Y).predict(X)).all()


def test_a_transformer_may_not_make_them_either():
    cubed = FunctionTransformer(lambda Z: Z**3)
    with pytest.raises(ValueError, match="that expert_features makes of X must be at most"):
        model(expert_features=cubed).fit(scaled(1e60), Y)


@pytest.mark.parametrize("inference", ["map", "vi"])
@pytest.mark.parametrize(
    ("X", "y", "weight"),
    [
        (X, Y * 1e100, None),
        (X, Y / np.abs(Y).max() * 9.9e149, None),
        (scaled(1e30).astype(np.float32), Y, None),
        (np.column_stack([X[:, 0], with_one(X[:, 1], 9.9e149)]), Y, None),
        (X, Y, ONES * 1e6),
        (X, Y, ONES * 3e13),
    ],
)
def test_large_numbers_below_the_bounds_are_fitted(X, y, weight, inference):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = model(inference=inference, draws=20).fit(X, y, weight)
        dist = fitted.predict_dist(X[:4])
        for values in (dist.mean(), dist.std(), dist.median(), fitted.expert_coef_):
            assert np.isfinite(values).all()


@pytest.mark.parametrize("value", [1e20, 1e149, 1e300])
def test_predictions_at_extreme_inputs_are_numbers(value):
    fitted = model().fit(X, Y)
    Z = X[:5].copy()
    Z[3, 1] = value
    assert np.isfinite(fitted.predict(Z)).all()
    assert np.isfinite(fitted.predict_interval(Z)).all()
    np.testing.assert_array_equal(fitted.predict(Z)[:3], fitted.predict(X[:3]))


FEW = {"inference": "nuts", "draws": 6, "tune": 6, "chains": 2}


@pytest.mark.parametrize("params", [FEW, {"inference": "vi", "draws": 5}])
def test_a_warning_that_is_an_error_leaves_the_estimator_as_it_was(params):
    """Fitted or not."""
    estimator = MoERegressor(inference="map", n_jobs=1, random_state=0)
    rng = np.random.default_rng(0)
    other_X, other_y = rng.normal(size=(12, 2)), rng.standard_cauchy(12)

    def refit():
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            with pytest.raises(ConvergenceWarning):
                estimator.set_params(n_experts=3, **params).fit(other_X, other_y)

    refit()
    with pytest.raises(NotFittedError):
        estimator.predict(X)
    estimator.set_params(inference="map", n_experts=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(X, Y)
    before, predicted = dict(vars(estimator)), estimator.predict(X)
    refit()
    estimator.set_params(**{name: before[name] for name in ("n_experts", "inference")})
    after = vars(estimator)
    assert after.keys() == before.keys()
    fitted = [name for name in after if name.endswith("_") or name.startswith("_")]
    assert all(after[name] is before[name] for name in fitted)
    np.testing.assert_array_equal(estimator.predict(X), predicted)
