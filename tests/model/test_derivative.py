"""Numerical slopes of transformers against their analytic ones."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)

from skcocoafuse.model.derivative import Column, derivative

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(3.0, 2.0, 500)
HEAVY = RNG.lognormal(0.0, 3.0, 1000)  # its sd says nothing about where most values are
FAR = np.array([1e-8, -1e-8, 1e-4, 1e4, -1e4, 1e8, -1e8])


def slopes(transformer, seen, x):
    fitted = transformer.fit(seen[:, None])
    return derivative(lambda _, values: fitted.transform(values[:, None]), Column.of(seen), x)


def spline_slopes(transformer, x):
    spline = transformer.bsplines_[0]
    low, high = spline.t[spline.k], spline.t[-spline.k - 1]
    inside = (x >= low) & (x <= high)
    at = spline.derivative()(np.clip(x, low, high))
    return at if transformer.extrapolation == "linear" else at * inside[:, None]


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1.0, 1e4, 1e9])
def test_slopes_are_right_in_every_unit_at_rows_of_every_size(unit):
    seen = unit * NORMAL
    x = np.concatenate([seen[:50], [seen.min(), seen.max(), 0.0], unit * FAR])
    scaler = StandardScaler()
    np.testing.assert_allclose(slopes(scaler, seen, x), 1 / scaler.scale_[0], rtol=1e-11)
    found = slopes(PolynomialFeatures(3, include_bias=False), seen, x)
    expected = np.stack([np.ones(len(x)), 2 * x, 3 * x**2], axis=1)
    for column, power in zip(range(3), (0, 1, 2), strict=True):  # near 0, in part of typical ones
        np.testing.assert_allclose(
            found[:, column], expected[:, column], rtol=1e-7, atol=1e-7 * unit**power
        )
    for extrapolation in ("linear", "constant"):
        spline = SplineTransformer(5, extrapolation=extrapolation)
        found = slopes(spline, seen, x)
        np.testing.assert_allclose(found, spline_slopes(spline, x), rtol=1e-6, atol=1e-8 / unit)


def test_a_column_far_from_zero_loses_no_more_than_its_digits():
    seen = 1e9 + NORMAL
    scaler, spline = StandardScaler(), SplineTransformer(5, extrapolation="linear")
    np.testing.assert_allclose(slopes(scaler, seen, seen), 1 / scaler.scale_[0], rtol=1e-7)
    found = slopes(spline, seen, seen)
    np.testing.assert_allclose(found, spline_slopes(spline, seen), rtol=1e-6, atol=1e-8)
    squares = slopes(PolynomialFeatures(2, include_bias=False), seen, seen)[:, 1]
    np.testing.assert_allclose(squares, 2 * seen, rtol=1e-5)  # squares of 1e18 end in 128
    coarse = 1e15 + 8 * NORMAL  # floats there are 0.125 apart
    np.testing.assert_allclose(slopes(scaler, coarse, coarse), 1 / scaler.scale_[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (np.log, lambda x: 1 / x),
        (np.log1p, lambda x: 1 / (1 + x)),
        (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    ],
)
def test_slopes_follow_values_far_below_their_sd(function, slope):
    x = np.concatenate([HEAVY, [1e-12, 1e-8, 1e8]])
    found = slopes(FunctionTransformer(function), HEAVY, x)
    np.testing.assert_allclose(found[:, 0], slope(x), rtol=1e-6)


def test_slopes_of_fast_and_steep_functions():
    x = RNG.normal(0.0, 10.0, 300)
    found = slopes(FunctionTransformer(lambda x: np.sin(100 * x)), x, x)[:, 0]
    np.testing.assert_allclose(found, 100 * np.cos(100 * x), rtol=1e-6, atol=1e-4)
    found = slopes(FunctionTransformer(np.exp), x, x)[:, 0]
    np.testing.assert_allclose(found, np.exp(x), rtol=1e-7)
    rounded = slopes(FunctionTransformer(lambda x: np.sin(x.astype(np.float32))), x, x)[:, 0]
    np.testing.assert_allclose(rounded, np.cos(x), atol=5e-3)  # floats of seven digits


def test_power_transformers():
    x = RNG.gamma(2.0, 1.0, 500)
    box_cox = PowerTransformer("box-cox")  # refuses what is not positive
    at = np.concatenate([x, [1e-8, 1e-4, 1e8]])
    found = slopes(box_cox, x, at)[:, 0]
    expected = at ** (box_cox.lambdas_[0] - 1) / box_cox._scaler.scale_[0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_one_side_counts_at_the_ends_of_the_data():
    seen = np.sort(NORMAL)
    ends = seen[[0, -1]]
    for extrapolation in ("constant", "error", "continue", "linear"):
        spline = SplineTransformer(4, extrapolation=extrapolation)
        inside = spline.fit(seen[:, None]).bsplines_[0].derivative()(ends)
        np.testing.assert_allclose(slopes(spline, seen, ends), inside, rtol=1e-6, atol=1e-8)


def test_a_kink_has_the_mean_of_both_sides():
    seen = NORMAL - 3.0
    found = slopes(FunctionTransformer(np.abs), seen, np.array([-1e-3, -1e-12, 0.0, 1e-12, 2.0]))
    np.testing.assert_allclose(found[:, 0], [-1, -1, 0, 1, 1], atol=1e-9)
    quantiles = QuantileTransformer(n_quantiles=50, output_distribution="normal")
    found = slopes(quantiles, NORMAL, np.sort(NORMAL)[20:-20])[:, 0]
    knots, levels = quantiles.quantiles_[:, 0], quantiles.references_
    at = np.sort(NORMAL)[20:-20]
    piece = np.searchsorted(knots, at, side="right") - 1
    smooth = ~np.isin(at, knots)
    rise = np.diff(levels)[piece] / np.diff(knots)[piece]
    expected = rise / norm.pdf(norm.ppf(np.interp(at, knots, levels)))
    np.testing.assert_allclose(found[smooth], expected[smooth], rtol=1e-6)


def test_steps_of_a_staircase_are_flat_and_codes_have_no_slope():
    seen = NORMAL[:101]
    bins = KBinsDiscretizer(5, encode="ordinal", strategy="quantile")
    edges = bins.fit(seen[:, None]).bin_edges_[0][1:-1]
    x = np.concatenate([seen, edges])  # an edge belongs to the bin above
    np.testing.assert_array_equal(slopes(bins, seen, x), 0.0)
    codes = RNG.integers(1, 4, 50).astype(float)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    assert np.isnan(slopes(encoder, codes, codes)).all()


def test_missing_values_and_constant_columns():
    identity = FunctionTransformer(lambda x: np.nan_to_num(x))
    seen = np.array([1.0, np.nan, 2.0, 3.0])
    np.testing.assert_allclose(
        slopes(identity, seen, np.array([2.0, np.nan]))[:, 0], [1.0, np.nan], rtol=1e-12
    )
    for value in (0.0, 1e-9, 7e9):
        found = slopes(identity, np.full(5, value), np.array([value, value + 1.0]))
        np.testing.assert_allclose(found, 1.0, rtol=1e-6)
    assert np.isfinite(slopes(identity, np.full(5, np.nan), np.ones(2))).all()


def test_rows_do_not_change_each_other():
    x = np.concatenate([NORMAL[:20], FAR])
    for transformer in (SplineTransformer(extrapolation="linear"), PolynomialFeatures(3)):
        alone = np.concatenate([slopes(transformer, NORMAL, x[i : i + 1]) for i in range(len(x))])
        np.testing.assert_array_equal(slopes(transformer, NORMAL, x), alone)
        np.testing.assert_array_equal(slopes(transformer, NORMAL, x[::-1])[::-1], alone)
