"""Bad input gets one clear error and leaves nothing half-fitted."""

import inspect
import pickle
from functools import partial

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor, Prior, log_prob
from skcocoafuse._validation import validate_weight
from tests.conftest import REGRESSORS

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 2)), RNG.normal(size=30)


def with_value(array, value):
    array = array.copy()
    array.flat[3] = value
    return array


BAD_FITS = {
    "nan in X": ({}, (with_value(X, np.nan), Y), ValueError, "contains NaN[\\s\\S]*imput"),
    "inf in X": ({}, (with_value(X, np.inf), Y), ValueError, "infinity[\\s\\S]*impute"),
    "nan in y": ({}, (X, with_value(Y, np.nan)), ValueError, "y contains NaN[\\s\\S]*impute"),
    "none in y": ({}, (X, [None, *Y[1:]]), ValueError, "y contains NaN[\\s\\S]*impute"),
    "inf in y": ({}, (X, with_value(Y, -np.inf)), ValueError, "infinity[\\s\\S]*impute"),
    "one row": ({}, (X[:1], Y[:1]), ValueError, "minimum of 2 is required"),
    "no column": ({}, (X[:, :0], Y), ValueError, "0 feature"),
    "lengths": ({}, (X, Y[:-1]), ValueError, "inconsistent numbers of samples"),
    "no expert": ({"n_experts": 0}, (X, Y), ValueError, "'n_experts'.*must be an int.*Got 0"),
    "half expert": ({"n_experts": 2.5}, (X, Y), ValueError, "'n_experts'.*must be an int"),
    "engine": ({"inference": "gibbs"}, (X, Y), ValueError, "'inference'.*'nuts'.*Got 'gibbs'"),
    "prior key": ({"priors": {"slope": Prior("normal")}}, (X, Y), ValueError, "known names"),
    "prior kind": ({"priors": {"sigma": "normal"}}, (X, Y), TypeError, "must be a Prior"),
    "draws": ({"draws": 0}, (X, Y), ValueError, "'draws'"),
    "accept": ({"target_accept": 1.0}, (X, Y), ValueError, "'target_accept'"),
    "options": ({"inference_options": [1]}, (X, Y), ValueError, "'inference_options'"),
    "features": ({"gate_features": ["speed"]}, (X, Y), ValueError, "gate_features has 'speed'"),
    "strings": ({}, (np.full((5, 1), "a", dtype=object), Y[:5]), ValueError, "could not convert"),
    "sparse": ({}, (sparse.csr_array(X), Y), TypeError, "dense data is required"),
    "negative weight": ({}, (X, Y, with_value(np.ones(30), -1)), ValueError, "[Nn]egative"),
    "zero weights": ({}, (X, Y, np.zeros(30)), ValueError, "weights.*zero"),
    "weight shape": ({}, (X, Y, np.ones(29)), ValueError, r"shape \(30,\).*got shape \(29,\)"),
    "nan in weights": ({}, (X, Y, with_value(np.ones(30), np.nan)), ValueError, "weight.*NaN"),
    "constant y": ({}, (X, np.full(30, 2.0)), ValueError, "y is constant.*2.0"),
}


@pytest.mark.parametrize(("params", "data", "error", "message"), BAD_FITS.values(), ids=BAD_FITS)
@pytest.mark.parametrize("regressor", REGRESSORS)
def test_fit(regressor, params, data, error, message):
    estimator = regressor(**{"inference": "map", **params})
    before = dict(vars(estimator))
    with pytest.raises(error, match=message):
        estimator.fit(*data)
    assert vars(estimator) == before


def test_a_number_weighs_all_rows_and_a_part_of_them_may_weigh_nothing():
    np.testing.assert_array_equal(validate_weight(2, X), np.full(30, 2.0))
    np.testing.assert_array_equal(validate_weight(np.zeros(30), X, some=True), np.zeros(30))


@pytest.mark.parametrize("regressor", [MoERegressor, BoERegressor])
@pytest.mark.parametrize("name", ["behavior_intercept", "behavior_coef"])
@pytest.mark.parametrize("method", ["fit", "build_model", "sample_prior_predictive"])
def test_priors_of_parameters_that_the_model_does_not_have(regressor, name, method):
    priors = {"sigma": Prior("half_normal"), name: Prior("normal")}
    estimator = clone(regressor(priors=priors, inference="map"))  # no complaint before fit
    message = (
        f"^{regressor.__name__} has no parameter '{name}', .*its parameters: "
        r"\['expert_coef', 'expert_intercept', 'gate_coef', 'gate_intercept', 'noise_coef', "
        r"'sigma'\]"
    )
    with pytest.raises(ValueError, match=message):
        getattr(estimator, method)(X, Y)


def test_priors_of_parameters_that_have_no_entries_are_kept_for_searches():
    """One expert has no gate, but a search over n_experts shares its priors."""
    priors = {"gate_coef": Prior("normal"), "gate_intercept": Prior("normal")}
    model = MoERegressor(priors=priors, inference="map", random_state=0)
    search = GridSearchCV(model, {"n_experts": [1, 2]}, cv=2, error_score="raise")
    assert np.isfinite(search.fit(X, Y).cv_results_["mean_test_score"]).all()


def test_a_search_over_classes_names_the_one_that_cannot_take_a_prior():
    learned = CoCoAFusERegressor(
        1, priors={"behavior_coef": Prior("normal")}, inference="map", random_state=0
    )
    mixture = MoERegressor(1, priors=learned.priors, inference="map", random_state=0)
    search = GridSearchCV(Pipeline([("model", learned)]), {"model": [learned, mixture]}, cv=2)
    with pytest.warns(FitFailedWarning, match="MoERegressor has no parameter 'behavior_coef'"):
        search.fit(X, Y)
    assert isinstance(search.best_estimator_["model"], CoCoAFusERegressor)


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_type_errors_name_the_class_that_was_called(regressor):
    """Python's own errors, which know a function by the class that it was written in."""
    name = regressor.__name__
    with pytest.raises(TypeError, match=rf"^{name}\.__init__\(\) got an unexpected .*'experts'"):
        regressor(experts=3)
    with pytest.raises(TypeError, match=rf"^{name}\.__init__\(\) takes from 1 to 2 positional"):
        regressor(3, None)
    estimator = regressor(1, inference="map")
    with pytest.raises(TypeError, match=rf"^{name}\.fit\(\) missing 1 required .*: 'y'"):
        estimator.fit(X)
    functions = dict(inspect.getmembers(regressor, inspect.isfunction))
    own = [n for n, f in functions.items() if f.__module__.startswith("skcocoafuse.")]
    public = [n for n in own if not n.startswith("_")]
    assert {"fit", "predict", "predict_interval", "loo", "save", "summary"} <= set(public)
    for method in public:
        with pytest.raises(TypeError, match=rf"^{name}\.{method}\(\) got an unexpected"):
            getattr(estimator, method)(nonsense=1)
        assert pickle.loads(pickle.dumps(functions[method])) is functions[method]


def test_subclasses_keep_their_own_methods_and_name_what_they_inherit():
    class Shifted(MoERegressor):
        def predict(self, X):
            return super().predict(X) + 1.0

    plain = MoERegressor(1, inference="map", random_state=0).fit(X, Y)
    shifted = Shifted(1, inference="map", random_state=0).fit(X, Y)
    np.testing.assert_allclose(shifted.predict(X), plain.predict(X) + 1.0)
    with pytest.raises(TypeError, match=r"MoERegressor\.predict_interval\(\)"):
        shifted.predict_interval(X, nonsense=1)


def test_unknown_prior_family():
    with pytest.raises(ValueError, match=r"must be one of .*got 'gaussian'"):
        Prior("gaussian")


@pytest.fixture(scope="module")
def fitted():
    return CoCoAFusERegressor(inference="map", random_state=0).fit(X, Y)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.predict(X[:, :1]),
        lambda m: m.predict_dist(X[:, :1]),
        lambda m: m.predict_interval(np.ones((3, 3))),
        lambda m: m.predict_gate(X[:, :1]),
        lambda m: m.predict_experts(X[:, :1]),
        lambda m: m.predict_behavior(X[:, :1]),
        lambda m: m.log_prob(X[:, :1], Y),
    ],
)
def test_wrong_number_of_features_at_predict(fitted, call):
    with pytest.raises(ValueError, match="expecting 2 features"):
        call(fitted)


@pytest.mark.parametrize("bad", [0.0, 1.0, 1.5, -0.1, np.nan, [0.9, 0.0], "0.5x"])
def test_coverage_and_quantiles_lie_between_0_and_1(fitted, bad):
    with pytest.raises(ValueError, match=r"strictly between 0 and 1|could not convert"):
        fitted.predict_interval(X, coverage=bad)
    with pytest.raises(ValueError, match=r"strictly between 0 and 1|could not convert"):
        fitted.predict_quantiles(X, quantiles=bad)


def test_nan_at_predict_and_lengths_of_y(fitted):
    with pytest.raises(ValueError, match="contains NaN"):
        fitted.predict(with_value(X, np.nan))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.log_prob(X, Y[:-1])


@pytest.mark.parametrize("value", [np.nan, None])
def test_observed_targets_may_not_be_missing(fitted, value):
    y = [value, *Y[1:]]
    for call in (fitted.log_prob, fitted.responsibilities, partial(log_prob, fitted)):
        with pytest.raises(ValueError, match="Input y contains NaN"):
            call(X, y)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e200, -1e308])
def test_observed_targets_may_be_anywhere(fitted, value):
    y = with_value(Y, value)
    assert fitted.log_prob(X, y)[3] == log_prob(fitted, X, y)[3] == -np.inf
    responsibility = fitted.responsibilities(X, y)
    np.testing.assert_allclose(responsibility.sum(axis=1), 1.0)
    others = np.arange(30) != 3
    np.testing.assert_array_equal(responsibility[others], fitted.responsibilities(X, Y)[others])


def test_numbers_of_samples(fitted):
    assert fitted.sample_y(X, 0).shape == (30, 0)
    assert fitted.sample_y(X, 1).shape == (30, 1)
    for bad in (-1, 1.5, True, None):
        with pytest.raises(ValueError, match="n_samples must be an integer of at least 0; got"):
            fitted.sample_y(X, bad)
        with pytest.raises(ValueError, match="n_samples must be a positive integer; got"):
            fitted.sample_posterior_predictive(X, bad)


METHODS = {
    "predict": lambda m: m.predict(X),
    "predict_dist": lambda m: m.predict_dist(X),
    "predict_interval": lambda m: m.predict_interval(X),
    "predict_quantiles": lambda m: m.predict_quantiles(X),
    "sample_y": lambda m: m.sample_y(X),
    "log_prob": lambda m: m.log_prob(X, Y),
    "score": lambda m: m.score(X, Y),
    "predict_experts": lambda m: m.predict_experts(X),
    "predict_gate": lambda m: m.predict_gate(X),
    "predict_behavior": lambda m: m.predict_behavior(X),
    "responsibilities": lambda m: m.responsibilities(X, Y),
    "summary": lambda m: m.summary(),
    "loo": lambda m: m.loo(),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_before_fit(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        method(CoCoAFusERegressor())


@pytest.mark.parametrize("regressor", [MoERegressor, BoERegressor])
def test_only_one_model_has_a_behavior(regressor):
    assert not hasattr(regressor(), "predict_behavior")
    with pytest.raises(TypeError, match="behavior_features"):
        regressor(behavior_features=[])


@pytest.mark.parametrize("regressor", REGRESSORS)
def test_a_constant_column_works(regressor):
    Z = np.column_stack([X, np.full(30, 7.0)])
    model = regressor(inference="map", random_state=0).fit(Z, Y)
    assert np.isfinite(model.predict(Z)).all()
    assert np.isfinite(model.expert_coef_).all()


def test_a_failed_refit_keeps_the_earlier_fit(fitted):
    before = fitted.predict(X)
    with pytest.raises(ValueError, match="NaN"):
        fitted.fit(with_value(X, np.nan), Y)
    np.testing.assert_array_equal(fitted.predict(X), before)
