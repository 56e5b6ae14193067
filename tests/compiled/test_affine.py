"""Predictors of tiles of rows beside numpy's matrix product, for every remainder of the tiles."""

import numpy as np
import pytest

from skcocoafuse.compiled import affine
from skcocoafuse.compiled.affine import ROWS
from skcocoafuse.model.rows import in_tiles

COLUMNS = [0, 1, 3, 4, 5, 8, 11]
EXPERTS = [1, 2, 3, 4, 5]
LINE = 7  # workspaces have other lines before and after


def _case(n_columns, n_experts):
    rng = np.random.default_rng([n_columns, n_experts])
    X = rng.normal(size=(ROWS, n_columns))
    intercept, coef = rng.normal(size=n_experts), rng.normal(size=(n_experts, n_columns))
    w = rng.normal(size=(n_experts, ROWS + 2 * LINE))
    return X, intercept, coef, w


@pytest.mark.parametrize("n", [1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS])
@pytest.mark.parametrize("n_columns", [0, 1, 5])
def test_tiles_hold_the_design_and_zeros(n, n_columns):
    X = np.random.default_rng(0).normal(size=(n, n_columns))
    tiles = in_tiles(X)
    assert tiles.shape == (-(-n // ROWS), n_columns * ROWS)
    back = tiles.reshape(len(tiles), n_columns, ROWS).transpose(0, 2, 1)
    back = back.reshape(len(tiles) * ROWS, n_columns)
    np.testing.assert_array_equal(back[:n], X)
    assert not back[n:].any()


@pytest.mark.parametrize("n_columns", COLUMNS)
@pytest.mark.parametrize("n_experts", EXPERTS)
def test_predictors_are_the_matrix_product_and_touch_nothing_else(n_columns, n_experts):
    X, intercept, coef, w = _case(n_columns, n_experts)
    before = w.copy()
    affine.affine(in_tiles(X)[0], intercept, coef, w, LINE)
    own = slice(LINE, LINE + ROWS)
    np.testing.assert_allclose(w[:, own], intercept[:, None] + coef @ X.T, rtol=1e-13, atol=1e-13)
    w[:, own] = before[:, own]
    np.testing.assert_array_equal(w, before)


@pytest.mark.parametrize("n_columns", COLUMNS)
@pytest.mark.parametrize("n_experts", EXPERTS)
def test_the_gradient_is_the_transposed_product_added(n_columns, n_experts):
    X, d_intercept, d_coef, w = _case(n_columns, n_experts)
    upstream = w[:, LINE : LINE + ROWS]
    wanted = d_coef + upstream @ X, d_intercept + upstream.sum(axis=1)
    affine.affine_gradient(in_tiles(X)[0], w, LINE, d_intercept, d_coef)
    np.testing.assert_allclose(d_coef, wanted[0], rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(d_intercept, wanted[1], rtol=1e-13, atol=1e-12)
