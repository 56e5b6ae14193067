"""Values as JSON: the way there and back, and what has no way."""

import json

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)

from skcocoafuse import Prior
from skcocoafuse.model.recorded import RecordedInputs
from skcocoafuse.persistence.transformers import TRANSFORMERS, check_cost
from skcocoafuse.persistence.values import decode, encode


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
    first, second = (t.fit_transform(X) for t in (transformer, there_and_back(transformer)))
    if kind is OneHotEncoder:
        first, second = first.toarray(), second.toarray()
    np.testing.assert_array_equal(second, first)


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
        (np.random.RandomState(np.random.PCG64(0)), "it"),
        (np.zeros(2, np.longdouble), "it"),
        (np.zeros(2, complex), "it"),
        (np.array(["a" * 10**6] + [""] * 100), "it"),
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
    ("value", "message"),
    [
        ({"$python": "os.system"}, "unknown kind of value"),
        ({"$float": "nan", "more": 1}, "too many values"),
        ({"$transformer": ["Pipeline", {"steps": []}]}, "unknown transformer 'Pipeline'"),
        ({"$transformer": ["os.system", {"command": "true"}]}, "unknown transformer 'os.system'"),
        ({"$prior": {"family": "dirac"}}, "Prior family must be one of"),
        ({"$array": ["V", 8, [1], [0]]}, "unknown kind of array 'V'"),
        ({"$array": ["f", 8, [3], [0.0]]}, "cannot reshape"),
        ({"$array": ["f", 8, [1], ["0.0"]]}, "must not hold '0.0'"),
        ({"$array": ["f", 8, [1], [[0.0]]]}, r"must not hold \[0.0\]"),
        ({"$array": ["f", 8, [-1], [0.0]]}, "shape of counts"),
        ({"$array": ["f", 8, [1], 0.0]}, "must be a list"),
        ({"$array": ["f", 8, [1], [True]]}, "must not hold True"),
        ({"$array": ["f", 16, [1], [0.0]]}, "of 16 bytes"),
        ({"$array": ["i", 8, [1], [0.5]]}, "must not hold 0.5"),
        ({"$array": ["i", 1, [1], [300]]}, "300 out of bounds for int8"),
        ({"$array": ["b", 1, [1], [1]]}, "must not hold 1"),
        ({"$array": ["", 8, [1], [0]]}, "unknown kind of array ''"),
        ({"$array": ["UO", 8, [1], ["a"]]}, "unknown kind of array 'UO'"),
        ({"$array": ["U", 4, [1], [1]]}, "strings must hold nothing else"),
        ({"$array": {}}, "must be a list of 4"),
        ({"$float": "1.0"}, "nan, inf or -inf"),
        ({"$float": ["nan"]}, "nan, inf or -inf"),
        ({"$tuple": 3}, "must be a list"),
        ({"$tuple": "ab"}, "must be a list"),
        ({"$prior": {"family": "laplace", "scale": "1"}}, "a number scale; got '1'"),
        ({"$prior": {"family": "laplace", "scale": True}}, "a number scale; got True"),
        ({"$prior": {"family": ["laplace"]}}, "a family by name"),
        ({"$prior": {"family": "laplace", "mode": 1.0}}, "keyword argument 'mode'"),
        ({"$transformer": ["StandardScaler"]}, "must be a list of 2"),
        ({"$transformer": [["StandardScaler"], {}]}, "a name and parameters"),
        ({"$transformer": ["StandardScaler", []]}, "a name and parameters"),
        ({"$transformer": ["StandardScaler", {"memory": "folder"}]}, "keyword argument 'memory'"),
        (
            {"$transformer": ["FeatureUnion", {"transformer_list": [], "n_jobs": 2}]},
            "n_jobs must be null in a file",
        ),
        ({"$random_state": 0}, "'int' object is not subscriptable"),
        ({"$random_state": {"bit_generator": "MT19937"}}, "state"),
    ],
    ids=str,
)
def test_unknown_kinds_are_refused(value, message):
    with pytest.raises((ValueError, KeyError, TypeError, OverflowError), match=message):
        decode(value)


def test_numbers_of_processes_are_not_kept():
    made = make_union(StandardScaler(), n_jobs=2)
    assert there_and_back(made).n_jobs is None
    assert made.n_jobs == 2


@pytest.mark.parametrize("template", ["{feature_name}_{transformer_name}", "{feature_name}", "a"])
def test_templates_of_names(template):
    made = ColumnTransformer([("a", StandardScaler(), [0])], verbose_feature_names_out=template)
    assert there_and_back(made).verbose_feature_names_out == template


@pytest.mark.parametrize(
    "template",
    ["{feature_name:>99999}", "{feature_name!r}", "{feature_name.upper}", "{0}", "{", "{a[0]}"],
)
def test_templates_with_more_are_refused(template):
    made = ColumnTransformer([("a", StandardScaler(), [0])], verbose_feature_names_out=template)
    with pytest.raises(ValueError, match=r"without formats|Single '\{'|expected '\}'"):
        there_and_back(made)


@pytest.mark.parametrize(
    "made",
    [
        SplineTransformer(n_knots=20, degree=3),
        SplineTransformer(knots=np.linspace(-1, 1, 30)[:, None] * np.ones(3)),
        PolynomialFeatures(4),
        PolynomialFeatures((3, 3), include_bias=False),
        PolynomialFeatures(np.array([1, 2])),
        make_union(*(PolynomialFeatures(k) for k in range(1, 5))),
        make_union(StandardScaler(), make_union(StandardScaler(), SplineTransformer())),
        make_column_transformer(
            (SplineTransformer(n_knots=15), [0]), ("passthrough", [1]), remainder=StandardScaler()
        ),
        make_column_transformer((StandardScaler(), [True, False, True])),
        SimpleImputer(add_indicator=True, fill_value=0.5, strategy="constant"),
        OneHotEncoder(),
        OneHotEncoder(max_categories=4, dtype=int, sparse_output=False),
        OneHotEncoder(categories=[np.arange(200.0)] * 3, dtype=np.float32, handle_unknown="ignore"),
        OrdinalEncoder(dtype=np.int64),
    ],
    ids=str,
)
def test_what_transformers_cost_is_what_they_take_and_give(made):
    X = np.random.default_rng(0).integers(-50, 50, size=(500, 3)) / 50
    n_values = RecordedInputs(X).n_distinct(None)
    assert (n_values > 90).all()
    check_cost(made, n_values, made.fit_transform(X).shape[1])
    assert str(there_and_back(made)) == str(made)
