"""What notebooks show of a model: never an error, and the verdicts of the package."""

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcocoafuse import CoCoAFusERegressor, MoERegressor
from skcocoafuse.estimators import glance
from tests.conftest import fit_quietly
from tests.evaluation.test_diagnostics import APART, GOOD


@pytest.fixture(scope="module")
def wide(once):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(150, 8)), columns=[f"<{name}>" for name in "abcdefgh"])
    y = 100.0 + 5.0 * X["<h>"] + 3.0 * X["<a>"] + rng.normal(size=150)
    model = MoERegressor(2, noise="student_t", inference="vi", draws=100, random_state=0)
    return once({"at a glance": lambda: fit_quietly(model, X, y)})["at a glance"]


@pytest.mark.parametrize(
    ("change", "color"),
    [
        ({}, "green"),
        ({"expert_share": np.array([0.001, 0.999])}, "amber"),
        ({"n_divergences": 3}, "amber"),
        ({"rhat_within": 1.3}, "red"),
        (APART, "red"),
        ({"pareto_k": 0.9}, "red"),
        ({"n_chains": 1, "n_draws": 1, "ess": np.nan, "mean_n_steps": np.nan}, "amber"),
    ],
)
def test_the_light_is_that_of_the_verdicts(change, color):
    assert glance.light({**GOOD, **change}) == color


def test_a_fitted_model_shows_its_experts(wide):
    shown = wide._repr_mimebundle_()["text/html"]
    assert shown.endswith(glance.html(wide.fitted_))
    assert wide._repr_html_().endswith(glance.html(wide.fitted_))
    assert "&lt;h&gt;" in shown  # names are escaped
    assert "2 smaller slopes are in summary()" in shown
    table = ElementTree.fromstring(glance.html(wide.fitted_)).find("table")
    head, *rows = ([cell.text for cell in row] for row in table.iter("tr"))
    assert [row[0] for row in rows] == ["expert 0", "expert 1"]
    assert (head[1:3], head[-1]) == (["share of the data", "at inputs of 0"], "scale of noise")
    means = [float(row[head.index("slope of <h>")].split()[0]) for row in rows]
    np.testing.assert_allclose(means, wide.expert_coef_[:, 7], rtol=0.01)


def test_before_fit_and_inside_others_it_is_that_of_scikit_learn(wide):
    model = CoCoAFusERegressor()
    shown = model._repr_mimebundle_()["text/html"]
    assert "CoCoAFusERegressor" in shown
    assert "share of the data" not in shown
    assert "MoERegressor" in make_pipeline(StandardScaler(), wide)._repr_html_()
    with sklearn.config_context(display="text"):
        assert set(wide._repr_mimebundle_()) == {"text/plain"}


def test_a_single_draw_has_no_spread(map_fit):
    shown = glance.html(map_fit.fitted_)
    assert "A single draw" in shown
    assert "\u00b1" not in shown


def test_results_print_in_a_line(wide):
    assert repr(wide.posterior_).startswith("Posterior(2 experts, 4 chains of 100 draws, ")
    assert repr(wide.fitted_).startswith("Fit(150 rows, Posterior(")
    assert "chain_clusters" not in repr(wide.posterior_)


def test_words_of_the_summary_fit_a_notebook(wide):
    """pandas cuts what is longer than 50 characters."""
    model = fit_quietly(
        CoCoAFusERegressor(2, noise_features=None, inference="map", random_state=0),
        *(np.random.default_rng(1).normal(size=shape) for shape in ((40, 1), 40)),
    )
    for each in (model, wide):
        table = each.summary()
        assert table["meaning"].str.len().max() <= 50
        spread = table.loc[table["feature"] == "sigma", "meaning"]
        assert spread.str.contains("Student's t").all() == (each is wide)
    table = wide.summary()
    who = table["part"] + (" " + table["expert"].astype("string")).fillna("")
    assert (who + ": " + table["feature"] == table.index).all()
