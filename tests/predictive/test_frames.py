"""Frames with strings, categories, dates and gaps: each part takes its own columns of them."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.compose import make_column_transformer as by_columns
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)

from skcocoafuse import (
    BoERegressor,
    CoCoAFusERegressor,
    MoERegressor,
    NExpertsSelector,
    load,
    predict_dist,
    prior_sensitivity,
    select_n_experts,
)
from skcocoafuse.metrics import SCORERS
from tests.conftest import REGRESSORS, fit_quietly

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 120
FAST = {"inference": "map", "random_state": 0}


def make_frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=N),
            "kind": rng.choice(["a", "b"], N),
            "grade": pd.Categorical(rng.choice(["u", "v", "w"], N), ordered=True),
            "when": pd.date_range("2020-01-01", periods=N, tz="UTC"),
            "count": rng.integers(0, 5, N),
            "flag": rng.random(N) > 0.5,
            "gappy": np.where(rng.random(N) < 0.2, np.nan, rng.normal(size=N)),
            "junk": [[i] for i in range(N)],
            "single": rng.normal(size=N).astype(np.float32),
        }
    )
    line = np.where(frame["kind"] == "a", 2.0, -1.0) * frame["x"] + 0.3 * frame["count"]
    return frame, line + 0.1 * rng.normal(size=N)


FRAME, Y = make_frame()
COLUMN = {name: j for j, name in enumerate(FRAME.columns)}


def encoder():
    return by_columns(
        (OneHotEncoder(drop="first"), ["kind", "grade"]),
        (StandardScaler(), ["x", "count"]),
        (SimpleImputer(), ["gappy"]),
        verbose_feature_names_out=False,
    )


def encoding(**changes):
    options = {"expert_features": encoder(), "gate_features": ["x"], **FAST, **changes}
    return MoERegressor(**options)


@pytest.fixture(scope="module")
def fitted():
    model = CoCoAFusERegressor(
        expert_features=encoder(),
        gate_features=["x"],
        behavior_features=[COLUMN["count"], "flag"],
        inference="vi",
        draws=30,
        random_state=0,
    )
    return fit_quietly(model, FRAME, Y)


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_a_part_that_encodes_is_as_a_pipeline_that_does(regressor):
    inside = regressor(expert_features=encoder(), gate_features=encoder(), **FAST)
    before = make_pipeline(encoder(), regressor(**FAST)).fit(FRAME, Y)
    if regressor is CoCoAFusERegressor:
        inside.set_params(behavior_features=encoder())
    inside.fit(FRAME, Y)
    np.testing.assert_allclose(inside.predict(FRAME), before.predict(FRAME), rtol=1e-9)
    assert inside.score(FRAME, Y) > 0.9


def test_each_part_has_its_own_columns(fitted):
    assert fitted.n_features_in_ == len(FRAME.columns)
    assert list(fitted.feature_names_in_) == list(FRAME.columns)
    names = [name.partition(": ")[2] for name in fitted.summary().index]
    assert names[:8] == [
        "intercept",
        "kind_b",
        "grade_v",
        "grade_w",
        "x",
        "count",
        "gappy",
        "sigma",
    ]
    assert fitted.gate_coef_.shape == (2, 1)
    assert fitted.behavior_coef_.shape == (2,)


def test_columns_of_numbers_by_name_or_number_next_to_anything():
    by_name = MoERegressor(expert_features=["x", "count"], gate_features=["flag"], **FAST)
    by_number = MoERegressor(
        expert_features=[COLUMN["x"], COLUMN["count"]], gate_features=[COLUMN["flag"]], **FAST
    )
    alone = FRAME[["x", "count", "flag"]]
    expected = clone(by_name).fit(alone, Y).predict(alone)
    np.testing.assert_array_equal(by_name.fit(FRAME, Y).predict(FRAME), expected)
    np.testing.assert_array_equal(by_number.fit(FRAME, Y).predict(FRAME), expected)
    others = FRAME.assign(kind=None, when="?", junk=np.inf)  # none of these is looked at
    np.testing.assert_array_equal(by_name.predict(others), expected)


def test_transformers_see_the_frame_as_a_pipeline_shows_it():
    seen = []
    spy = FunctionTransformer(lambda Z: (seen.append(Z), Z[["x"]])[1])
    MoERegressor(expert_features=spy, gate_features=[], **FAST).fit(FRAME, Y)
    expected = FRAME.astype({"single": np.float64})  # whose slopes would have three digits
    for frame in seen:
        pd.testing.assert_frame_equal(frame, expected)
    numbers = by_columns((StandardScaler(), make_column_selector(dtype_include="float")))
    model = MoERegressor(expert_features=numbers, gate_features=["x"], **FAST)
    assert model.fit(FRAME.drop(columns="gappy"), Y).expert_coef_.shape == (2, 2)


BAD_COLUMNS = {
    "strings": (["x", "kind"], ValueError, r"could not convert string to float: '\w'\n.*'kind' of"),
    "objects": (["junk", "x"], (ValueError, TypeError), r"column 'junk' of X"),
    "dates": (["x", "when"], TypeError, r"dates or durations[\s\S]*column 'when' of X"),
    "dates alone": (["when"], TypeError, r"dates or durations[\s\S]*column 'when' of X"),
    "missing": (["gappy", "x"], ValueError, r"Input X contains NaN.\nMoE[\s\S]*'gappy'.*impute"),
    "all": (None, (ValueError, TypeError), r"columns 'kind', 'grade', 'when', 'gappy', 'junk' of"),
}


@pytest.mark.parametrize(("columns", "error", "message"), BAD_COLUMNS.values(), ids=BAD_COLUMNS)
def test_a_column_used_directly_must_hold_numbers(columns, error, message):
    model = MoERegressor(expert_features=["x"], gate_features=columns, **FAST)
    with pytest.raises(error, match=f"{message}[\\s\\S]*gate_features"):
        model.fit(FRAME, Y)
    assert not hasattr(model, "n_features_in_")
    good = FRAME.assign(**{name: np.arange(N) for name in FRAME.columns})
    model.fit(good, Y)
    with pytest.raises(error, match=f"{message}[\\s\\S]*gate_features"):
        model.predict(FRAME)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_arrays_are_told_which_column_as_well(value):
    X = np.random.default_rng(0).normal(size=(30, 3))
    y = X[:, 0]
    X[4, 2] = value
    with pytest.raises(ValueError, match=r"Input X contains [\s\S]*column 2 of X[\s\S]*impute"):
        MoERegressor(**FAST).fit(X, y)
    model = MoERegressor(expert_features=[0], gate_features=[1], **FAST).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    imputed = make_pipeline(SimpleImputer(), StandardScaler())
    finite = np.where(np.isnan(X), 0.0, X)
    if np.isnan(value):
        model = MoERegressor(expert_features=imputed, gate_features=[1], **FAST).fit(X, y)
        assert np.isfinite(model.predict(X)).all()
        assert np.isfinite(model.predict(finite)).all()


def test_what_transformers_refuse_or_return_is_said_with_the_parameter():
    with pytest.raises(ValueError, match=r"Cannot cast|could not convert") as raised:
        MoERegressor(expert_features=StandardScaler(), **FAST).fit(FRAME[["x", "kind"]], Y)
    assert raised.value.__notes__ == [
        "This was raised by the transformer given as expert_features."
    ]
    passing = by_columns((StandardScaler(), ["x"]), remainder="passthrough")
    with pytest.raises(
        ValueError, match=r"gate_features must return numbers: .*string.*passthrough"
    ):
        MoERegressor(expert_features=["x"], gate_features=passing, **FAST).fit(FRAME, Y)
    gaps = by_columns((StandardScaler(), ["gappy"]))
    with pytest.raises(ValueError, match="given as expert_features returned NaN"):
        encoding(expert_features=gaps).fit(FRAME, Y)


def test_names_are_checked_as_scikit_learn_does(fitted):
    with pytest.raises(ValueError, match=r"feature names should match[\s\S]*missing:\n- junk"):
        fitted.predict(FRAME.drop(columns="junk"))
    with pytest.raises(ValueError, match="same order"):
        fitted.predict(FRAME[FRAME.columns[::-1]])
    with pytest.raises(ValueError, match=r"0 sample\(s\) \(shape=\(0, 9\)\).*CoCoAFusERegressor"):
        fitted.predict(FRAME[:0])
    with pytest.raises(ValueError, match=r"1 sample\(s\).*minimum of 2"):
        encoding().fit(FRAME[:1], Y[:1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        encoding().fit(FRAME, Y[:-1])
    with pytest.raises(ValueError, match="Reshape your data"):
        fitted.predict(np.arange(9.0))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        unnamed = fitted.predict(FRAME.to_numpy(dtype=object))
    np.testing.assert_allclose(unnamed, fitted.predict(FRAME), rtol=1e-12)


# -- arrays and frames of other kinds ----------------------------------------------------


@pytest.mark.parametrize("as_list", [False, True])
def test_arrays_of_objects(as_list):
    X = FRAME[["x", "kind", "count", "when"]].to_numpy(dtype=object)
    rows = X.tolist() if as_list else X
    features = by_columns((OneHotEncoder(drop="first"), [1]), (StandardScaler(), [0, 2]))
    model = MoERegressor(expert_features=features, gate_features=[0], **FAST).fit(rows, Y)
    named = by_columns((OneHotEncoder(drop="first"), ["kind"]), (StandardScaler(), ["x", "count"]))
    expected = encoding(expert_features=named).fit(FRAME, Y)
    np.testing.assert_allclose(model.predict(rows), expected.predict(FRAME), rtol=1e-12)
    slopes = model.local_coef(rows)
    assert np.isnan(slopes[:, [1, 3]]).all()
    reference = expected.local_coef(FRAME)[:, [COLUMN["x"], COLUMN["count"]]]
    np.testing.assert_allclose(slopes[:, [0, 2]], reference, rtol=1e-9)
    with pytest.raises(
        ValueError, match=r"could not convert string to float[\s\S]*columns 1, 3 of X"
    ):
        MoERegressor(**FAST).fit(rows, Y)


def test_what_rows_happen_to_hold_makes_no_difference():
    """Numerals are categories in all rows or in none, whatever the other rows hold."""
    X = np.empty((N, 2), dtype=object)
    X[:, 0] = FRAME["x"]
    X[:, 1] = np.where(FRAME["kind"] == "a", "1", "x")
    features = by_columns((OneHotEncoder(drop="first"), [1]), (StandardScaler(), [0]))
    model = MoERegressor(expert_features=features, gate_features=[0], **FAST).fit(X, Y)
    numerals = X[:, 1] == "1"
    np.testing.assert_array_equal(model.predict(X)[numerals], model.predict(X[numerals]))
    whole = model.local_coef(X)[numerals]
    np.testing.assert_array_equal(whole, model.local_coef(X[numerals]))


def test_numbers_among_objects_are_numbers_as_before():
    X = FRAME[["x", "count"]]
    spline = SplineTransformer(4, extrapolation="linear")
    plain = MoERegressor(expert_features=spline, **FAST).fit(X.to_numpy(), Y)
    objects = MoERegressor(expert_features=spline, **FAST).fit(X.to_numpy(dtype=object), Y)
    np.testing.assert_array_equal(objects.predict(X.to_numpy()), plain.predict(X.to_numpy()))
    kept = {part: design.inputs for part, design in objects.fitted_.posed.designs.items()}
    assert kept["expert"].values.dtype == np.float64
    assert kept["gate"] is kept["behavior"] is None


@pytest.mark.parametrize("library", ["pyarrow", "polars"])
def test_frames_of_other_libraries(library):
    module = pytest.importorskip(library)
    X = FRAME.drop(columns=["junk", "grade"])
    columns = {name: X[name].to_numpy() for name in X.columns if name != "when"}
    table = module.table(columns) if library == "pyarrow" else module.DataFrame(columns)
    features = by_columns((OneHotEncoder(drop="first"), ["kind"]), (StandardScaler(), ["x"]))
    model = encoding(expert_features=features).fit(table, Y)
    assert list(model.feature_names_in_) == list(columns)
    expected = encoding(expert_features=features).fit(X, Y)
    np.testing.assert_allclose(model.predict(table), expected.predict(X), rtol=1e-12)
    slopes = expected.local_coef(X.drop(columns="when").assign(when=X["when"])[list(X.columns)])
    np.testing.assert_allclose(
        model.local_coef(table), np.delete(slopes, list(X.columns).index("when"), axis=1)
    )


def test_frames_of_other_kinds_of_column():
    """Missing numbers, text and categories of pandas' own kinds."""
    X = FRAME.assign(
        gappy=FRAME["count"].astype("Int64").where(FRAME["flag"]),
        kind=FRAME["kind"].astype("string"),
        flag=FRAME["flag"].astype("boolean"),
        when=(FRAME["when"] - FRAME["when"][0]),
    )
    model = encoding(gate_features=["x", "flag", "count"]).fit(X, Y)
    assert np.isfinite(model.predict(X)).all()
    with pytest.raises(ValueError, match="contains NaN"):
        encoding(gate_features=["gappy"]).fit(X, Y)


# -- what else takes X -------------------------------------------------------------------


def test_local_coef_has_slopes_of_numbers(fitted):
    slopes, interval = fitted.local_coef(FRAME, coverage=0.9)
    missing = np.isnan(slopes)
    words = ["kind", "grade", "when", "junk"]
    assert missing[:, [COLUMN[name] for name in words]].all()
    np.testing.assert_array_equal(missing[:, COLUMN["gappy"]], FRAME["gappy"].isna())
    numbers = ["x", "count", "flag", "single"]
    assert not missing[:, [COLUMN[name] for name in numbers]].any()
    np.testing.assert_array_equal(np.isnan(interval), np.repeat(missing[..., None], 2, axis=2))
    assert (slopes[:, COLUMN["single"]] == 0).all()  # no part uses it
    for name in ("x", "count"):
        step = 1e-4
        up, down = (FRAME.assign(**{name: FRAME[name] + s}) for s in (step, -step))
        expected = (fitted.predict(up) - fitted.predict(down)) / (2 * step)
        np.testing.assert_allclose(slopes[:, COLUMN[name]], expected, rtol=1e-5, atol=1e-6)
    order = [7, 3, 90]
    np.testing.assert_allclose(fitted.local_coef(FRAME.iloc[order]), slopes[order], rtol=1e-12)


@pytest.mark.parametrize("unknown", ["error", "ignore"])
def test_numbers_taken_as_categories_have_no_slope(unknown):
    X = FRAME[["x", "count"]]
    coded = by_columns(
        (OneHotEncoder(handle_unknown=unknown, sparse_output=False), ["count"]),
        (StandardScaler(), ["x"]),
    )
    slopes = encoding(expert_features=coded).fit(X, Y).local_coef(X)
    assert np.isnan(slopes[:, 1]).all()
    assert np.isfinite(slopes[:, 0]).all()


def test_slopes_where_a_spline_ends_or_refuses():
    X = FRAME[["x", "count"]]
    ends = [X["x"].idxmin(), X["x"].idxmax()]
    found = {}
    for extrapolation in ("error", "constant", "continue"):
        spline = by_columns((SplineTransformer(4, extrapolation=extrapolation), ["x"]))
        model = BoERegressor(expert_features=spline, gate_features=[], **FAST).fit(X, Y)
        found[extrapolation] = model.local_coef(X)
        assert np.isfinite(found[extrapolation]).all()
    for slopes in found.values():  # all are the same spline inside
        np.testing.assert_allclose(slopes, found["continue"], rtol=1e-4, atol=1e-4)
        assert (np.abs(slopes[ends, 0]) > 0.1).all()


def test_local_coef_says_which_column_a_transformer_refuses():
    X = FRAME[["x"]].round(2)

    def picky(Z):
        if not np.allclose(200 * Z, np.round(200 * Z), rtol=0, atol=1e-9):
            raise ValueError("not a multiple of 0.005")
        return Z

    model = encoding(expert_features=FunctionTransformer(picky)).fit(X, Y)
    with pytest.raises(
        ValueError, match=r"column 'x' of X[\s\S]*expert_features[\s\S]*not a multiple"
    ):
        model.local_coef(X)


def test_prior_draws_models_and_exports(fitted):
    model = clone(fitted)
    values, parameters = model.sample_prior_predictive(
        FRAME, Y, n_samples=4, random_state=0, return_parameters=True
    )
    assert values.shape == (4, N)
    assert parameters["expert_coef"].shape == (4, 2, 6)
    assert fitted.sample_prior_predictive(FRAME[:5], n_samples=3, random_state=0).shape == (3, 5)
    assert set(model.build_model(FRAME, Y).coords["expert_feature"]) == {
        *("kind_b", "grade_v", "grade_w", "x", "count", "gappy")
    }
    data = fitted.to_arviz(thin=10, random_state=0)
    assert data["constant_data"]["X_expert"].shape == (N, 6)


def test_conclusions_about_rows_of_a_frame():
    simple = by_columns((OneHotEncoder(drop="first"), ["kind"]), (StandardScaler(), ["x", "count"]))
    model = BoERegressor(
        1, expert_features=simple, gate_features=[], inference="vi", draws=100, random_state=0
    )
    fit_quietly(model, FRAME, Y)
    assert "sigma" in prior_sensitivity(model, FRAME[:5]).table.index
    assert np.isfinite(model.loo().elpd)


def test_selection_and_meta_estimators():
    model = encoding()
    selection = select_n_experts(model, FRAME, Y, n_experts=[1, 2], criterion="cv", cv=2)
    assert selection.estimator.predict(FRAME).shape == (N,)
    selector = fit_quietly(NExpertsSelector(model, n_experts=[1, 2], cv=2), FRAME, Y)
    assert list(selector.feature_names_in_) == list(FRAME.columns)
    pipe = make_pipeline(FunctionTransformer(), encoding()).fit(FRAME, Y)
    dist = predict_dist(pipe, FRAME)
    np.testing.assert_array_equal(dist.mean(), encoding().fit(FRAME, Y).predict(FRAME))
    search = GridSearchCV(encoding(), {"n_experts": [1, 2]}, cv=2).fit(FRAME, Y)
    chosen = encoding().set_params(**search.best_params_).fit(FRAME, Y)
    np.testing.assert_array_equal(search.predict(FRAME), chosen.predict(FRAME))
    scores = cross_validate(encoding(), FRAME, Y, cv=2, scoring=SCORERS)
    assert all(np.isfinite(values).all() for values in scores.values())


def test_warm_start_takes_up_the_fit_before():
    model = encoding(inference="nuts", draws=50, tune=100, warm_start=True)
    fit_quietly(model, FRAME, Y)
    fit_quietly(model, FRAME[10:], Y[10:])
    assert np.isfinite(model.predict(FRAME)).all()


# -- keeping a fit -----------------------------------------------------------------------


def test_pickle_and_joblib(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "fit")
    for again in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "fit")):
        np.testing.assert_array_equal(again.predict(FRAME), fitted.predict(FRAME))
        np.testing.assert_array_equal(again.local_coef(FRAME), fitted.local_coef(FRAME))


def test_a_file_keeps_columns_that_are_no_numbers(tmp_path):
    path = tmp_path / "fit.nc"
    X = FRAME.drop(columns="junk").assign(
        mixed=pd.Series(
            np.resize(np.array([1, 1.0, True, None, np.nan, "1"], object), N), dtype=object
        ),
        large=np.arange(N) + 2**60,
        whole=FRAME["count"].astype("Int64").where(FRAME["flag"]),
        duration=FRAME["when"] - FRAME["when"][5],
    )
    features = by_columns(
        (SplineTransformer(3), ["x"]),
        (PolynomialFeatures(2, include_bias=False), ["count"]),
        (OneHotEncoder(drop="first", handle_unknown="ignore", dtype=np.float32), ["kind"]),
        (OrdinalEncoder(), ["grade"]),
        (SimpleImputer(strategy="median"), ["gappy"]),
    )
    model = encoding(expert_features=features).fit(X, Y)
    model.save(path)
    again = load(path)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.local_coef(X), model.local_coef(X))
    restored = again.fitted_.posed.designs["expert"].inputs.table(again.feature_names_in_)
    expected = X.astype({"single": np.float64})
    pd.testing.assert_frame_equal(restored, expected, check_freq=False)
    for found, value in zip(restored["mixed"], X["mixed"], strict=True):
        assert type(found) is type(value)
    again.save(tmp_path / "again.nc")  # and so on
    assert load(tmp_path / "again.nc").local_coef(X[:2]).shape == (2, len(X.columns))


def test_a_file_of_a_fit_without_transformers_knows_which_columns_are_numbers(tmp_path):
    model = MoERegressor(expert_features=["x"], gate_features=["count"], **FAST).fit(FRAME, Y)
    model.save(tmp_path / "fit.nc")
    again = load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(again.local_coef(FRAME), model.local_coef(FRAME))
    assert np.isnan(again.local_coef(FRAME)).any()


def test_save_names_a_column_that_it_has_no_place_for(tmp_path):
    model = encoding(expert_features=by_columns((StandardScaler(), ["x"]))).fit(FRAME, Y)
    with pytest.raises(TypeError, match=r"cannot write column 'junk' of X.*joblib"):
        model.save(tmp_path / "fit.nc")
    assert not list(tmp_path.iterdir())


def test_a_frame_that_changes_after_fit_does_not_change_the_fit(tmp_path):
    X = FRAME[["x", "gappy"]].fillna(0.0)
    model = MoERegressor(expert_features=StandardScaler(), **FAST).fit(X, Y)
    before = model.local_coef(FRAME[["x", "gappy"]].fillna(0.0))
    X.iloc[:, :] = 0.0
    np.testing.assert_array_equal(model.local_coef(FRAME[["x", "gappy"]].fillna(0.0)), before)
    model.save(tmp_path / "fit.nc")
    assert load(tmp_path / "fit.nc").n_features_in_ == 2


def test_transformers_that_work_in_place_leave_x_to_other_parts():
    X = FRAME[["x", "count"]].to_numpy(dtype=np.float64)
    given = X.copy()
    scaled = MoERegressor(expert_features=StandardScaler(copy=False), **FAST).fit(X, Y)
    np.testing.assert_array_equal(X, given)
    expected = MoERegressor(expert_features=StandardScaler(), **FAST).fit(X, Y).predict(X)
    np.testing.assert_array_equal(scaled.predict(X), expected)
    np.testing.assert_array_equal(X, given)


def test_bins_and_ordinal_codes():
    bins = by_columns(
        (
            KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
            ["x"],
        ),
        (OrdinalEncoder(), ["kind"]),
    )
    model = encoding(expert_features=bins, gate_features=["count"]).fit(FRAME, Y)
    slopes = model.local_coef(FRAME)
    np.testing.assert_allclose(slopes[:, COLUMN["x"]], 0.0, atol=1e-12)  # experts are flat inside


def test_sparse_columns_of_a_frame():
    dummies = pd.get_dummies(FRAME["kind"], sparse=True, dtype=float)
    X = FRAME[["x"]].join(dummies)
    model = MoERegressor(expert_features=["x"], gate_features=["a"], **FAST)
    dense = clone(model).fit(X.astype({"a": float, "b": float}), Y)
    np.testing.assert_array_equal(model.fit(X, Y).predict(X), dense.predict(X))
    with pytest.raises(TypeError, match="dense data is required"):
        MoERegressor(**FAST).fit(dummies, Y)


def test_columns_that_became_text_or_categories_since_fit():
    X = FRAME[["x", "count", "single"]]
    coded = by_columns((OneHotEncoder(), ["count"]), (StandardScaler(), ["x"]))
    model = encoding(expert_features=coded).fit(X, Y)
    changed = X.assign(count=X["count"].astype("category"), single="nobody looks here")
    np.testing.assert_array_equal(model.predict(changed), model.predict(X))
    slopes = model.local_coef(changed)
    np.testing.assert_array_equal(slopes[:, 0], model.local_coef(X)[:, 0])
    assert np.isnan(slopes[:, 1:]).all()
