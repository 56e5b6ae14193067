"""The recommended regressor."""

import numpy as np
import pytest
from sklearn.base import clone

from skcocoafuse import NExpertsSelector, loo, predict_dist, recommended_regressor
from skcocoafuse.datasets import make_switch
from tests.conftest import fit_quietly


@pytest.fixture(scope="module")
def fitted(once):
    """Chosen from 150 of 200 rows with noise that grows along the first column.

    By "one_se": two experts are as good as one, within the standard error, and "best" takes either.
    Without a race, so that all folds say how much worse alternatives are.
    """

    def fit():
        r = np.random.default_rng(0)
        X = r.uniform(size=(200, 2))
        y = X[:, 0] + 0.05 * 20.0 ** X[:, 0] * r.normal(size=200)
        model = recommended_regressor(inference="short_chains", random_state=0)
        model.set_params(n_experts=[1, 2], max_rows=150, rule="one_se", race=False)
        return fit_quietly(model, X, y), X

    return once({"recommended regressor": fit})["recommended regressor"]


def test_it_chooses_and_predicts(fitted):
    model, X = fitted
    assert isinstance(model, NExpertsSelector)
    assert model.n_experts_ == 1
    assert "noise_features" not in model.best_params_  # noise still depends on inputs
    behavior, noise, tails, *_ = model.selection_.alternatives
    assert (behavior.name, behavior.value) == ("behavior_features", [])
    assert (noise.name, noise.value) == ("noise_features", [])
    assert (tails.name, tails.value) == ("noise", "student_t")
    assert noise.gain.elpd < -3.0 * noise.gain.se
    assert model.best_estimator_.inference == "short_chains"
    assert len(model.selection_.candidates[1].pointwise) == 150
    assert predict_dist(model, X).interval(0.9).shape == (200, 2)
    assert np.isfinite(loo(model).elpd)


def test_noise_that_does_not_depend_on_irrelevant_columns():
    """Fourteen of them, whose priors do not shrink yet: slopes of the noise cost more than 4."""
    X, y = make_switch(60, random_state=0)
    X = np.column_stack([X, np.random.default_rng(0).normal(size=(60, 14))])
    model = recommended_regressor(inference="vi", random_state=0)
    fit_quietly(model.set_params(n_experts=[1]), X, y)
    assert model.best_params_["noise_features"] == []
    _, noise, *_ = model.selection_.alternatives
    assert noise.gain.elpd > max(4.0, 2.0 * noise.gain.se)


def test_a_seed_fixes_rows_folds_and_fits(fitted):
    model, _ = fitted
    again = clone(model)
    assert again.get_params()["estimator__random_state"] == again.cv.random_state == 0
    one, two = (recommended_regressor() for _ in range(2))
    assert one.alternatives is not two.alternatives  # changing one changes no other
    assert one.alternatives["noise"] is not two.alternatives["noise"]
