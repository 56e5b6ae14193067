"""Values as JSON: the way there and back, and what has no way."""

import json

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    PolynomialFeatures,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)

from skcocoafuse import Prior
from skcocoafuse.persistence.values import TRANSFORMERS, decode, encode


def there_and_back(value):
    return decode(json.loads(json.dumps(encode(value, "it"), allow_nan=False)))


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -(2**70), 0.1, -0.0, 5e-324, np.inf, -np.inf, "", "größe \U0001f600",
        [], (), {}, [1, [2.5, "x"]], (1, (2, [3])), {"a": {"b": (1,)}}, [None, {"c": []}],
        Prior("student_t", scale=0.3, df=7.0), {"sigma": Prior("half_normal")},
    ],
    ids=repr,
)  # fmt: skip
def test_plain_values(value):
    found = there_and_back(value)
    assert found == value
    assert type(found) is type(value)
    assert str(found) == str(value)  # tells -0.0 from 0.0


def test_not_a_number():
    assert np.isnan(there_and_back(np.nan))


@pytest.mark.parametrize("value", [np.float64(0.1), np.int32(3), np.bool_(True), np.str_("a")])
def test_numpy_scalars_become_plain(value):
    found = there_and_back(value)
    assert found == value
    assert type(found) is type(value.item())


@pytest.mark.parametrize(
    "array",
    [
        np.array(0.1), np.array([]), np.zeros((0, 3), int), np.array([[np.nan, np.inf], [1, -0.0]]),
        np.array([1, 2], np.int32), np.array([True, False]), np.array(["a", "bcd"]),
        np.array(["a", "bcd"], object), np.array([0.1, 3.0], np.float32), np.arange(3, dtype=">i4"),
    ],
    ids=repr,
)  # fmt: skip
def test_arrays(array):
    found = there_and_back(array)
    np.testing.assert_array_equal(found, array)
    assert (found.shape, found.dtype.kind) == (array.shape, array.dtype.kind)
    assert found.dtype.itemsize == array.dtype.itemsize


def test_random_states_go_on_alike():
    original = np.random.RandomState(3)
    original.normal(size=5)  # an odd number, so that a value is kept for later
    found = there_and_back(original)
    np.testing.assert_array_equal(found.normal(size=7), original.normal(size=7))


def test_transformers_do_the_same():
    X = np.random.default_rng(0).normal(size=(30, 2))
    both = make_union(StandardScaler(), SplineTransformer(n_knots=4, knots="quantile"))
    transformer = make_column_transformer(
        (both, [0]), (PolynomialFeatures((1, 3)), [1]), ("passthrough", [0]), remainder="drop"
    )
    found = there_and_back(transformer)
    assert str(found) == str(transformer)
    np.testing.assert_array_equal(found.fit_transform(X), clone(transformer).fit_transform(X))


@pytest.mark.parametrize("kind", TRANSFORMERS.values(), ids=TRANSFORMERS)
def test_every_transformer_is_a_function_of_inputs_and_parameters(kind):
    X = np.random.default_rng(0).normal(size=(50, 2))
    own = {
        "ColumnTransformer": ([("a", StandardScaler(), [0])],),
        "FeatureUnion": ([("a", StandardScaler())],),
    }
    transformer = kind(*own.get(kind.__name__, ()))
    expected = transformer.fit_transform(X)
    np.testing.assert_array_equal(there_and_back(transformer).fit_transform(X), expected)


class OwnScaler(StandardScaler):
    """A subclass may do anything, so it is not its parent."""


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "it"),
        ([1, {2}], "it[1]"),
        ({"a": 1j}, "it['a']"),
        ({1: "a"}, "it"),
        ({"$float": "nan"}, "it"),
        (len, "it"),
        (np.random.default_rng(0), "it"),
        (np.array([object()]), "it"),
        (np.array(["2020-01-01"], "M8[D]"), "it"),
        (FunctionTransformer(np.log), "it"),
        (QuantileTransformer(), "it"),
        (make_pipeline(StandardScaler()), "it"),
        (OwnScaler(), "it"),
        (
            ColumnTransformer([("a", StandardScaler(), make_column_selector("x"))]),
            "it.transformers",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_kinds_are_named(value, name):
    with pytest.raises(TypeError, match=r"save\(\) cannot write .* or keep this estimator") as info:
        encode(value, "it")
    assert str(info.value).startswith(f"save() cannot write {name}")


@pytest.mark.parametrize(
    "value",
    [
        {"$python": "os.system"},
        {"$float": "nan", "more": 1},
        {"$transformer": ["Pipeline", {"steps": []}]},
        {"$transformer": ["os.system", {"command": "true"}]},
        {"$prior": {"family": "dirac"}},
        {"$array": ["V", 8, [1], [0]]},
        {"$array": ["f", 8, [3], [0.0]]},
    ],
    ids=str,
)
def test_unknown_kinds_are_refused(value):
    with pytest.raises((ValueError, KeyError)):
        decode(value)
