"""A row's result does not depend on which other rows are asked for, or in what order.

scikit-learn checks ``predict`` alone, on rows alike; here it is all that takes X, on rows from
1e-8 to 1e8 times those of the fit, in one call.
"""

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.preprocessing import SplineTransformer, StandardScaler

from skcocoafuse import predict_dist, predict_interval, predict_quantiles
from tests.conftest import REGRESSORS, fit_quietly

RNG = np.random.default_rng(0)
X = RNG.normal([0.0, 5.0, -2.0], [1.0, 3.0, 0.2], size=(150, 3))
Y = np.tanh(2 * X[:, 0]) * (X[:, 1] - 5) + X[:, 2] + 0.1 * RNG.normal(size=150)
SIZES = np.array([1e-8, -1e-8, 1e-4, 1.0, -1e4, 1e4, 1e8, -1e8])
ROWS = np.concatenate([X[:6], (SIZES[:, None, None] * X[:2]).reshape(-1, 3)])
TARGETS = np.concatenate([Y[:6], np.linspace(-5.0, 5.0, len(ROWS) - 6)])


def spline():
    return SplineTransformer(4, extrapolation="linear")


FEATURES = {
    "columns": lambda: None,
    "spline": spline,
    "column transformer": lambda: make_column_transformer(
        (spline(), [0]), (StandardScaler(), [1, 2])
    ),
}
METHODS = {
    "predict": lambda m, X, y: m.predict(X),
    "std": lambda m, X, y: m.predict(X, return_std=True)[1],
    "predict_interval": lambda m, X, y: m.predict_interval(X, [0.5, 0.9]),
    "predict_quantiles": lambda m, X, y: m.predict_quantiles(X),
    "predict_experts": lambda m, X, y: m.predict_experts(X),
    "predict_gate": lambda m, X, y: m.predict_gate(X),
    "predict_behavior": lambda m, X, y: getattr(m, "predict_behavior", m.predict)(X),
    "responsibilities": lambda m, X, y: m.responsibilities(X, y),
    "log_prob": lambda m, X, y: m.log_prob(X, y),
    "local_coef": lambda m, X, y: m.local_coef(X),
    "local_coef interval": lambda m, X, y: m.local_coef(X, coverage=0.9)[1],
    "function predict_interval": lambda m, X, y: predict_interval(m, X),
    "function predict_quantiles": lambda m, X, y: predict_quantiles(m, X),
}
DIST_METHODS = {
    "mean": lambda d, y: d.mean(),
    "std": lambda d, y: d.std(),
    "var": lambda d, y: d.var(),
    "median": lambda d, y: d.median(),
    "variance_parts": lambda d, y: np.column_stack(d.variance_parts()),
    "pdf": lambda d, y: d.pdf(y),
    "logpdf": lambda d, y: d.logpdf(y),
    "cdf": lambda d, y: d.cdf(y),
    "sf": lambda d, y: d.sf(y),
    "pit": lambda d, y: d.pit(y),
    "crps": lambda d, y: d.crps(y),
    "ppf": lambda d, y: d.ppf([0.01, 0.9]),
    "isf": lambda d, y: d.isf([0.01, 0.9]),
    "interval": lambda d, y: d.interval(0.8),
    "responsibilities": lambda d, y: d.responsibilities(y),
    "hdi mass": lambda d, y: d.hdi(0.8).mass,
    "hdi start": lambda d, y: d.hdi(0.8).intervals[:, 0, 0],
    "prob_multimodal": lambda d, y: d.prob_multimodal(),
}
MODES = {
    "n_modes": lambda modes: modes.n_modes,
    "highest": lambda modes: modes.location[:, 0],
}


@pytest.fixture(scope="module", params=FEATURES)
def models(request):
    fits = []
    for regressor in REGRESSORS:
        features = FEATURES[request.param]
        options = {"expert_features": features(), "gate_features": features()}
        model = regressor(2, inference="vi", draws=8, random_state=0, **options)
        fits.append(fit_quietly(model, X, Y))
    return fits


def check(function, rows=ROWS, targets=TARGETS, rtol=1e-9):
    """The same for all rows, and for parts of them in another order, of which some are alone."""
    whole = function(rows, targets)
    order = np.random.default_rng(1).permutation(len(rows))
    parts = np.split(order, [1, 2, 3, 5, 9])
    found = np.concatenate([function(rows[part], targets[part]) for part in parts])
    np.testing.assert_allclose(found, whole[order], rtol=rtol)


@pytest.mark.parametrize("name", METHODS)
def test_of_methods(name, models):
    for model in models:
        check(lambda rows, y, model=model: METHODS[name](model, rows, y))


def error_of_regions(model, prob=0.8):
    """How far two estimates of a region's probability may be apart, relative to it.

    Each is within 1e-6 of what was asked but for rounding of its ends, which are dozens near 1e9,
    in steps of 1e-7, at the farthest rows.
    """
    dist = model.predict_dist(ROWS)
    ends = dist.hdi(prob).intervals.reshape(len(ROWS), -1)
    n_ends = np.isfinite(ends).sum(axis=1)
    steps = np.spacing(np.nanmax(np.abs(ends), axis=1)) * dist.pdf(np.nan_to_num(ends)).max(axis=1)
    return 2 * (1e-6 + (n_ends * steps).max() / prob)


@pytest.mark.parametrize("name", DIST_METHODS)
def test_of_distributions(name, models):
    method = DIST_METHODS[name]
    near = np.abs(ROWS).max(axis=1) < 1e6
    for model in models:
        rtol = error_of_regions(model) if name == "hdi mass" else 1e-9

        def found(rows, targets, model=model):
            return method(predict_dist(model, rows), targets)

        check(found, rtol=rtol)
        check(found, ROWS[near], TARGETS[near])
        dist = model.predict_dist(ROWS[:12])  # and so are slices of a distribution
        part = method(dist[3:5], TARGETS[3:5])
        np.testing.assert_allclose(part, method(dist, TARGETS[:12])[3:5], rtol=1e-9)


@pytest.mark.parametrize("name", MODES)
def test_of_modes(name, models):
    for model in models:
        check(lambda rows, y, model=model: MODES[name](model.predict_dist(rows).modes()))
