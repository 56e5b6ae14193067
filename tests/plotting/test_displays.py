"""Displays: what they draw is what the estimators say, wherever these are."""

import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcocoafuse import (
    BoERegressor,
    CoCoAFusERegressor,
    MoERegressor,
    NExpertsSelector,
    compare,
    cross_val_predict_dist,
    predict_dist,
    prior_sensitivity,
)
from skcocoafuse.datasets import make_bimodal, make_switch_and_transition
from skcocoafuse.metrics import interval_coverage
from skcocoafuse.plotting import (
    CalibrationDisplay,
    ComparisonDisplay,
    ConvergenceDisplay,
    EffectDisplay,
    ExpertsDisplay,
    GateDisplay,
    NExpertsDisplay,
    PredictionFanDisplay,
    PredictiveDensityDisplay,
    PriorSensitivityDisplay,
)
from skcocoafuse.plotting.calibration import _simultaneous_band
from tests.conftest import fit_quietly

mpl.use("Agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X, y = make_switch_and_transition(300, random_state=0)
    X = pd.DataFrame({"speed (m/s)": X[:, 0], "site": rng.choice(["a", "b"], 300)})
    X["temperature"] = rng.normal(20.0, 5.0, 300)
    return X, pd.Series(100.0 + 30.0 * y, name="power (kW)")


@pytest.fixture(scope="module")
def fitted(once, data):
    features = ["speed (m/s)", "temperature"]
    options = {"expert_features": features, "gate_features": ["speed (m/s)"]}
    options |= {"behavior_features": ["speed (m/s)"], "inference": "vi", "draws": 200}
    model = CoCoAFusERegressor(3, random_state=0, **options)
    return once({"displayed": lambda: fit_quietly(model, *data)})["displayed"]


@pytest.fixture(scope="module")
def two_branches():
    X, y = make_bimodal(300, random_state=0)
    return fit_quietly(MoERegressor(2, inference="vi", draws=200, random_state=0), X, y), X, y


# -- fan -------------------------------------------------------------------------------------


def test_a_fan_shows_predictions_along_a_feature(fitted, data):
    X, y = data
    display = PredictionFanDisplay.from_estimator(
        fitted, X, y, feature="speed (m/s)", kind="interval", coverage=[0.9, 0.5], n_points=40
    )
    grid = pd.DataFrame(
        {
            "speed (m/s)": np.linspace(X["speed (m/s)"].min(), X["speed (m/s)"].max(), 40),
            "site": X["site"].mode()[0],
            "temperature": X["temperature"].median(),
        }
    )
    np.testing.assert_allclose(display.mean, fitted.predict(grid))
    np.testing.assert_allclose(display.intervals, fitted.predict_interval(grid, [0.5, 0.9]))
    np.testing.assert_allclose(display.curves.experts, fitted.predict_experts(grid), rtol=0.05)
    np.testing.assert_allclose(display.curves.gate[0], fitted.predict_gate(grid), atol=0.03)
    beta = fitted.predict_behavior(grid)
    np.testing.assert_allclose(display.curves.behavior[0], beta, atol=0.03)
    for mean, low, high in (display.curves.gate, display.curves.behavior):
        assert (low <= mean).all()
        assert (mean <= high).all()
    assert display.ax_.get_ylabel() == "power (kW)"
    assert display.behavior_ax_.get_xlabel() == "speed (m/s)"
    (points,) = [c for c in display.ax_.collections if c.get_label() == "observed"]
    np.testing.assert_allclose(points.get_offsets()[:, 1], y)


def test_other_features_are_held_at_a_row(fitted, data):
    X, _ = data
    display = PredictionFanDisplay.from_estimator(
        fitted, X, feature="temperature", at=7, n_points=5, kind="interval"
    )
    rows = X.iloc[[7] * 5].assign(temperature=np.linspace(*np.sort(X["temperature"])[[0, -1]], 5))
    np.testing.assert_allclose(display.mean, fitted.predict(rows))


def test_axes_hold_the_regions_unless_these_go_far_beyond_the_data(two_branches):
    model, X, _ = two_branches
    dist, x = model.predict_dist(X), np.linspace(-2.0, 2.0, len(X))
    ends = dist.interval(0.95)
    for kind in ("hdr", "interval"):
        for spread in (1.0, 0.01):
            y = np.linspace(ends.min(), ends.max(), len(X)) * spread
            display = PredictionFanDisplay.from_predictions(x, dist, kind=kind, observed=(x, y))
            low, high = display.ax_.get_ylim()
            assert low < y.min()
            assert high > y.max()
            whole = low < ends.min() and high > ends.max()
            assert whole == (spread == 1.0)
            assert high - low < 2.2 * np.ptp(y)


def test_regions_have_their_probability_and_two_branches(two_branches):
    """Cells as dense as a region's edge; a central interval would fill the gap."""
    model, X, y = two_branches
    display = PredictionFanDisplay.from_estimator(model, X, y, n_points=30)
    values, content = display.regions
    dist = predict_dist(model, display.x[:, None])
    step = values[1] - values[0]
    edges = np.append(values - 0.5 * step, values[-1] + 0.5 * step)
    mass = np.diff(dist.cdf(np.tile(edges, (30, 1))), axis=1)
    for level in (0.5, 0.8, 0.95):
        inside = (mass * (content <= level)).sum(axis=1)
        assert (inside <= level + 1e-12).all()
        assert (inside > level - mass.max()).all()
        pieces = np.abs(np.diff(content <= level, axis=1)).sum(axis=1) / 2
        expected = np.isfinite(dist.hdi(level).intervals[:, :, 0]).sum(axis=1)
        assert np.mean(np.round(pieces) == expected) > 0.9  # but for gaps of less than a cell
    assert (np.isfinite(dist.hdi(0.8).intervals[:, :, 0]).sum(axis=1) == 2).mean() > 0.5


def test_panels_are_those_that_there_are():
    X, y = make_switch_and_transition(80, random_state=0)
    for model, panels in (
        (CoCoAFusERegressor(2), 3),
        (MoERegressor(2), 2),
        (BoERegressor(2), 2),
        (MoERegressor(1), 1),
    ):
        model.set_params(inference="map", random_state=0)
        display = PredictionFanDisplay.from_estimator(fit_quietly(model, X, y), X, n_points=9)
        assert len(display.figure_.axes) == panels
        assert (display.behavior_ax_ is None) == (panels < 3)
        bare = PredictionFanDisplay.from_estimator(model, X, curves=False, n_points=9)
        assert len(bare.figure_.axes) == 1


def test_beta_is_gray_where_it_makes_no_difference(data):
    """Where one expert has all the weight, nothing is known of beta."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 400)
    y = np.where(x + 0.1 * rng.normal(size=400) > 0, 4.0, 0.0) + 0.1 * rng.normal(size=400)
    model = CoCoAFusERegressor(2, inference="vi", draws=100, random_state=0)
    display = PredictionFanDisplay.from_estimator(fit_quietly(model, x[:, None], y), x[:, None])
    identified = display.curves.identified
    assert identified[np.abs(display.x) < 0.1].all()
    assert not identified[np.abs(display.x) > 0.8].any()


def test_displays_see_through_meta_estimators(data):
    """In units of the original inputs and target."""
    X, y = data[0][["speed (m/s)"]], data[1]
    inner = MoERegressor(2, inference="map", random_state=0)
    target = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), inner), transformer=StandardScaler()
    )
    search = GridSearchCV(target, {"regressor__moeregressor__n_experts": [2]}, cv=2)
    fit_quietly(search, X, y)
    fan = PredictionFanDisplay.from_estimator(search, X, y, n_points=20)
    grid = pd.DataFrame({"speed (m/s)": fan.x})
    np.testing.assert_allclose(fan.mean, search.predict(grid), rtol=1e-6)
    plain = fit_quietly(MoERegressor(2, inference="map", random_state=0), X, y)
    direct = PredictionFanDisplay.from_estimator(plain, X, y, n_points=20)
    np.testing.assert_allclose(fan.curves.experts, direct.curves.experts, rtol=1e-3, atol=0.1)
    density = PredictiveDensityDisplay.from_estimator(search, X[:1], y[:1])
    assert density.experts is None
    CalibrationDisplay.from_estimator(search, X, y)
    assert ExpertsDisplay.from_estimator(search).slopes.shape == (3, 2, 1)


def test_axes_that_are_given_are_used(fitted, data):
    X, y = data
    figure, (left, right) = plt.subplots(1, 2)
    for display in (
        PredictionFanDisplay.from_estimator(fitted, X, feature=0, n_points=9, ax=left),
        CalibrationDisplay.from_estimator(fitted, X, y, ax=right),
    ):
        assert display.figure_ is figure
    figure, ax = plt.subplots()
    assert PredictiveDensityDisplay.from_estimator(fitted, X[:1], ax=ax).axes_ == [ax]
    features = "speed (m/s)", "temperature"
    assert GateDisplay.from_estimator(fitted, X, features=features, n_points=5, ax=ax).ax_ is ax


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, r"several features; choose one of feature=\['speed"),
        ({"feature": "wind"}, r"feature='wind' is not a column of X, which has \['speed"),
        ({"feature": 3}, "feature=3 is not a column of X, which has 3"),
        ({"feature": "site"}, "'site' is not numeric"),
        ({"feature": 0, "kind": "quantile"}, "kind must be 'hdr' or 'interval'"),
        ({"feature": 0, "coverage": 95}, "coverage must be"),
    ],
)
def test_what_cannot_be_drawn_is_said(fitted, data, options, match):
    with pytest.raises(ValueError, match=match):
        PredictionFanDisplay.from_estimator(fitted, data[0], **options)


def test_without_matplotlib_the_extra_is_named(fitted, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'skcocoafuse\[plot\]'"):
        PredictionFanDisplay.from_estimator(fitted, data[0], feature=0)


# -- densities -------------------------------------------------------------------------------


def test_densities_and_what_experts_contribute(fitted, data):
    X, y = data
    display = PredictiveDensityDisplay.from_estimator(fitted, X[:4], y[:4])
    assert len(display.axes_) == 4
    for values, density in zip(display.y, display.density, strict=True):
        assert integrate.simpson(density, values) == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(display.density, fitted.predict_dist(X[:4]).pdf(display.y))
    assert display.axes_[0].get_title(loc="left") == "row 0"


@pytest.mark.parametrize("noise", ["normal", "student_t"])
def test_experts_sum_to_the_density(two_branches, noise):
    """Of one chain cluster, averaged over all draws."""
    _, X, y = two_branches
    model = MoERegressor(2, noise=noise, inference="map", random_state=0).fit(X, y)
    display = PredictiveDensityDisplay.from_estimator(model, X[:3])
    np.testing.assert_allclose(display.experts.sum(axis=0), display.density, rtol=1e-9)


def test_modes_are_those_in_the_region(two_branches):
    model, X, _ = two_branches
    display = PredictiveDensityDisplay.from_estimator(model, X[:5], prob=0.9)
    for modes, intervals in zip(display.modes, display.regions, strict=True):
        assert len(modes) >= 1
        inside = [((low <= modes) & (modes <= high)) for low, high in intervals]
        assert np.any(inside, axis=0).all()
    with pytest.raises(ValueError, match="ax is for a single row; there are 5"):
        display.plot(ax=plt.gca())


# -- calibration -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [20, 150, 3000])
def test_the_band_is_left_as_often_as_it_says(n):
    """A uniform sample stays inside everywhere with the stated probability."""
    at, low, high = _simultaneous_band(n, 0.9)
    rng = np.random.default_rng(1)
    samples = np.sort(rng.random((1000, n)), axis=1)
    share = np.stack([np.searchsorted(sample, at, side="right") for sample in samples]) / n
    inside = ((share >= low) & (share <= high)).all(axis=1).mean()
    # two Monte Carlo errors: of these samples, and of those that the band is made from
    error = np.sqrt(0.09 / 1000 + 0.09 / 2000)
    assert inside > 0.9 - 4 * error
    assert inside < 0.9 + 4 * error + (0.06 if n < 100 else 0.02)  # counts are discrete


def test_calibration_is_seen(fitted):
    rng = np.random.default_rng(0)
    y = rng.normal(size=2000)
    for scale, inside in ((1.0, True), (0.7, False), (1.5, False)):
        display = CalibrationDisplay.from_pit(stats.norm.cdf(y, scale=scale))
        assert display.inside_ == inside
        assert display.length_ax_ is None
    display = CalibrationDisplay.from_pit(stats.norm.cdf(y, loc=0.2))
    assert not display.inside_


def test_coverage_is_that_of_intervals(fitted, data):
    X, y = data
    display = CalibrationDisplay.from_estimator(fitted, X, y)
    (_, line) = display.coverage_ax_.lines
    for at in (3, 20, 40):
        nominal, share = line.get_xdata()[at], line.get_ydata()[at]
        interval = fitted.predict_interval(X, nominal)
        assert share == pytest.approx(interval_coverage(y, interval), abs=1e-12)
        assert display.length[at] == pytest.approx((interval[:, 1] - interval[:, 0]).mean())
    assert "power (kW)" in display.length_ax_.get_ylabel()


def test_calibration_of_cross_validated_and_left_out_rows(fitted, data):
    X, y = data
    dist = cross_val_predict_dist(fitted, X, y, cv=2)
    np.testing.assert_allclose(CalibrationDisplay.from_predictions(y, dist).pit, dist.pit(y))
    sampled = MoERegressor(2, draws=100, tune=100, chains=2, random_state=0)
    left_out = fit_quietly(sampled, X[["speed (m/s)"]][:100], y[:100]).loo()
    display = CalibrationDisplay.from_pit(left_out.pit)
    (_, line) = display.coverage_ax_.lines
    inside = np.abs(2 * left_out.pit - 1) <= line.get_xdata()[20]
    assert line.get_ydata()[20] == pytest.approx(inside.mean())


# -- gate, experts, number of experts --------------------------------------------------------


def test_gates_over_two_features():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(-1, 1, (200, 3)), columns=["a", "b", "c"])
    y = np.abs(X["a"] - X["b"]) + 0.05 * rng.normal(size=200)
    model = fit_quietly(CoCoAFusERegressor(2, inference="map", random_state=0), X, y)
    display = GateDisplay.from_estimator(model, X, features=("a", "c"), n_points=7)
    assert display.gate.shape == (7, 7, 2)
    for up, across in ((0, 0), (2, 5), (6, 1)):
        row = pd.DataFrame({"a": [display.x[across]], "b": [X["b"].median()], "c": [display.y[up]]})
        np.testing.assert_allclose(display.gate[up, across], model.predict_gate(row)[0])
        assert display.behavior[up, across] == pytest.approx(model.predict_behavior(row)[0])
    assert display.ax_.get_ylabel() == "c"
    with pytest.raises(ValueError, match="features must be two different ones"):
        GateDisplay.from_estimator(model, X, features=("a", 0))


def test_experts_are_those_of_the_summary(fitted):
    display = ExpertsDisplay.from_estimator(fitted, per_sd=False, coverage=0.8)
    table = fitted.summary(coverage=0.8)
    slopes = [f"expert {k}: {name}" for k in range(3) for name in display.names]
    rows = table.loc[slopes]
    np.testing.assert_allclose(display.slopes[0].ravel(), rows["mean"], rtol=1e-9)
    np.testing.assert_allclose(display.slopes[1].ravel(), rows["lower"], rtol=1e-9)
    np.testing.assert_allclose(display.slopes[2].ravel(), rows["upper"], rtol=1e-9)
    unit = fitted.fitted_.posed.designs["expert"].scale.scale
    per_sd = ExpertsDisplay.from_estimator(fitted)
    np.testing.assert_allclose(per_sd.slopes[0], display.slopes[0] * unit)
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == display.names


def test_effects_are_averages_over_rows(fitted, data):
    X, _ = data
    display = EffectDisplay.from_estimator(
        fitted, X[:50], feature="speed (m/s)", n_points=4, coverage=0.8
    )
    for at, value in enumerate(display.x):
        rows = X[:50].assign(**{"speed (m/s)": value})
        mean = fitted.predict(rows).mean()
        low, high = display.mean[1:, at]
        assert low < mean < high
        # of a part of the draws
        assert display.mean[0, at] == pytest.approx(mean, abs=3 * (high - low) / np.sqrt(200))
        expected = fitted.predict_quantiles(rows).mean(axis=0)
        np.testing.assert_allclose(display.quantiles[at], expected)
    assert (display.std[1] <= display.std[2]).all()
    target = TransformedTargetRegressor(MoERegressor(inference="map"), transformer=StandardScaler())
    fit_quietly(target, X[["temperature"]], data[1])
    with pytest.raises(ValueError, match="target is transformed"):
        EffectDisplay.from_estimator(target, X[["temperature"]])


def test_chains_and_their_clusters(two_branches):
    model, X, y = two_branches
    display = ConvergenceDisplay.from_estimator(model)
    assert np.nanmax(display.rhat) == pytest.approx(model.diagnostics_["rhat"], abs=0.02)
    np.testing.assert_array_equal(display.quantities[..., 0], model.posterior_.log_posterior)
    assert len(display.trace_ax_.lines) == model.posterior_.n_chains
    assert "chain cluster" in display.trace_ax_.get_title()
    single = fit_quietly(MoERegressor(inference="map"), X, y)
    with pytest.raises(ValueError, match="single draw"):
        ConvergenceDisplay.from_estimator(single)


def test_a_selector_can_be_drawn(two_branches):
    _, X, y = two_branches
    model = MoERegressor(inference="map", random_state=0)
    selector = fit_quietly(NExpertsSelector(model, n_experts=[1, 2], cv=2), X, y)
    display = NExpertsDisplay.from_selection(selector)
    pd.testing.assert_frame_equal(display.table, selector.selection_.table)
    assert selector.selection_.plot(ax=display.ax_).ax_ is display.ax_


# -- plot() of results ---------------------------------------------------------------------


def test_plot_of_an_estimator_is_its_fan(fitted, data):
    X, y = data
    display = fitted.plot(X, y, feature="speed (m/s)")
    expected = PredictionFanDisplay.from_estimator(fitted, X, y, feature="speed (m/s)")
    np.testing.assert_array_equal(display.mean, expected.mean)
    assert display.ax_.get_ylabel() == "power (kW)"
    with pytest.raises(NotFittedError):
        MoERegressor().plot(X)


def test_plot_of_distributions_is_their_densities(two_branches):
    model, X, y = two_branches
    joined = cross_val_predict_dist(MoERegressor(1, inference="map"), X, y, cv=2)
    whole = TransformedTargetRegressor(
        MoERegressor(1, inference="map"), transformer=StandardScaler()
    )
    transformed = predict_dist(whole.fit(X, y), X)
    for dist in (model.predict_dist(X), joined, transformed):
        display = dist[:2].plot(y[:2], prob=0.5, target_name="target")
        assert isinstance(display, PredictiveDensityDisplay)
        np.testing.assert_allclose(display.density, dist[:2].pdf(display.y))
        assert display.axes_[0].get_xlabel() == "target"


@pytest.fixture(scope="module")
def compared(two_branches):
    model, X, y = two_branches
    single = fit_quietly(MoERegressor(1, inference="vi", draws=200, random_state=0), X, y)
    return compare({"one": single, "two": model})


def test_plot_of_a_comparison_shows_its_table(compared):
    display = compared.plot()
    assert isinstance(display, ComparisonDisplay)
    (points,) = (line for line in display.ax_.lines if line.get_marker() == "o")
    np.testing.assert_allclose(points.get_xdata(), -compared.table["elpd_diff"])
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["two", "one"]
    failed = ComparisonDisplay(compared.table.assign(converged=[True, False])).plot(ax=display.ax_)
    assert [text.get_text() for text in failed.ax_.get_legend().get_texts()] == [
        "checks not passed"
    ]


def test_plot_of_a_sensitivity_shows_its_table(two_branches):
    result = prior_sensitivity(two_branches[0])
    display = result.plot()
    assert isinstance(display, PriorSensitivityDisplay)
    shown = {line.get_label(): line.get_xdata() for line in display.ax_.lines}
    for conclusion, own in result.table.groupby("conclusion"):
        np.testing.assert_allclose(shown[conclusion], own["prior_sensitivity"])
    (threshold,) = (line for line in display.ax_.lines if line.get_linestyle() == "--")
    assert threshold.get_xdata()[0] == result.threshold


def test_results_are_frames(two_branches, compared):
    model, X, _ = two_branches
    for result in (compared, prior_sensitivity(model), model.explain(X[:3])):
        pd.testing.assert_frame_equal(result.to_frame(), result.table)
    rows = model.loo().to_frame()
    assert rows["pointwise"].sum() == pytest.approx(compared.results["two"].elpd)
    assert rows.columns.tolist() == [
        "y", "pointwise", "in_sample", "pareto_k", "pit", "weight", "refitted",
    ]  # fmt: skip


def test_displays_of_several_panels_take_the_place_of_an_axes(fitted, data):
    X, _ = data
    pit = np.random.default_rng(0).uniform(size=50)
    figure, axes = plt.subplots(2, 2)
    shown = [
        ExpertsDisplay.from_estimator(fitted, ax=axes[0, 0]),
        ConvergenceDisplay.from_estimator(fitted, ax=axes[0, 1]),
        EffectDisplay.from_estimator(
            fitted, X, feature="speed (m/s)", n_points=3, max_rows=5, ax=axes[1, 0]
        ),
        CalibrationDisplay.from_pit(pit, ax=axes[1, 1]),
    ]
    assert all(display.figure_ is figure for display in shown)
    assert len(figure.axes) == 3 + 3 + 3 + 2
