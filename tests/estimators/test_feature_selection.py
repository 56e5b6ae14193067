"""Tools that read coefficients as importances refuse; those that go by predictions work."""

import numpy as np
import pytest
from sklearn.feature_selection import RFE, RFECV, SelectFromModel, SequentialFeatureSelector
from sklearn.inspection import permutation_importance
from sklearn.model_selection import KFold

from skcocoafuse import CoCoAFusERegressor, MoERegressor, NExpertsSelector
from skcocoafuse.metrics import SCORERS
from tests.conftest import fit_quietly

# what scikit-learn and SHAP take for one coefficient, or importance, per feature
READ_BY_OTHERS = {"coef_", "intercept_", "feature_importances_"}


@pytest.fixture(scope="module")
def data():
    """Three columns, of which the last one matters."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    return X, 2.0 * np.abs(X[:, 2]) + rng.normal(0, 0.2, 120)


def fast(regressor=CoCoAFusERegressor):
    return regressor(inference="map", random_state=0)


def test_no_attribute_has_a_name_that_others_read(map_fit):
    assert not READ_BY_OTHERS & set(dir(map_fit))
    assert not any(hasattr(map_fit, name) for name in READ_BY_OTHERS)


def test_nor_has_one_of_the_selector(data):
    selector = fit_quietly(NExpertsSelector(fast(), n_experts=[1, 2], cv=2), *data)
    assert not any(hasattr(selector, name) for name in READ_BY_OTHERS)


@pytest.mark.parametrize(
    "select",
    [
        lambda: RFE(fast(), n_features_to_select=1),
        lambda: RFECV(fast(), cv=2),
        lambda: SelectFromModel(fast()),
        lambda: SelectFromModel(NExpertsSelector(fast(), n_experts=[1, 2], cv=2)),
    ],
    ids=["RFE", "RFECV", "SelectFromModel", "SelectFromModel of a selector"],
)
def test_selection_by_coefficients_is_refused(select, data):
    with pytest.raises(ValueError, match=r"should have `coef_` or `feature_importances_`"):
        fit_quietly(select(), *data).transform(data[0])


def test_selection_by_predictions_finds_the_column(data):
    X, y = data
    folds = KFold(2, shuffle=True, random_state=0)
    by_score = SequentialFeatureSelector(
        fast(MoERegressor), n_features_to_select=1, cv=folds, scoring=SCORERS["lppd"]
    )
    assert list(fit_quietly(by_score, X, y).get_support()) == [False, False, True]


@pytest.mark.parametrize("scoring", [None, SCORERS["lppd"]], ids=["r2", "lppd"])
def test_permutation_importance_finds_the_column(scoring, data):
    X, y = data
    model = fit_quietly(fast(), X, y)
    found = permutation_importance(model, X, y, scoring=scoring, n_repeats=3, random_state=0)
    assert found.importances_mean.argmax() == 2
    assert found.importances_mean[2] > 10 * np.abs(found.importances_mean[:2]).max()
