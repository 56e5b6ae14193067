"""Affine predictors of a tile of rows, and their gradient: small matrix products.

A tile of a design matrix is one line: its columns one after the other, ROWS numbers each. Columns
are processed four at a time and experts two at a time, so a number read once is used eight
times, whereas a product column by column is limited by memory access. Calling BLAS would take
longer.
"""

from skcocoafuse.compiled.jit import njit
from skcocoafuse.model.rows import TILE_ROWS as ROWS

# Infinities and NaN keep their meaning (no "nnan", "ninf"), so that overflow is detected.
# Everything is inlined: otherwise callers have copies of a function that round differently, and
# which one is called depends on whether code was compiled or loaded. Seeds would then not reproduce
# a fit.
OPTIONS = {
    "cache": True,
    "forceinline": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
}


@njit(**OPTIONS)
def affine(X, intercept, coef, w, line):
    """Fill ``w[k, line:line + ROWS]`` with intercept_k + coef_k . X for every expert k.

    ``coef`` contains the coefficients expert by expert: creating a matrix view takes as long as the
    sums for a few rows.
    """
    last, d = intercept.size - 1, X.size // ROWS
    for k in range(0, last, 2):
        _two(
            X, intercept[k], intercept[k + 1],
            coef[k * d : (k + 1) * d], coef[(k + 1) * d : (k + 2) * d],
            w[k, line : line + ROWS], w[k + 1, line : line + ROWS],
        )  # fmt: skip
    if last % 2 == 0:
        affine_of_one(X, intercept[last], coef[last * d :], w[last, line : line + ROWS])


@njit(**OPTIONS)
def _two(X, a, b, slope, slope_b, out, out_b):
    for i in range(ROWS):
        out[i] = a
        out_b[i] = b
    d = slope.size
    fours = d - d % 4
    for j in range(0, fours, 4):
        x = X[j * ROWS : (j + 4) * ROWS]
        s0, s1, s2, s3 = slope[j], slope[j + 1], slope[j + 2], slope[j + 3]
        t0, t1, t2, t3 = slope_b[j], slope_b[j + 1], slope_b[j + 2], slope_b[j + 3]
        for i in range(ROWS):
            x0, x1, x2, x3 = x[i], x[ROWS + i], x[2 * ROWS + i], x[3 * ROWS + i]
            out[i] += (s0 * x0 + s1 * x1) + (s2 * x2 + s3 * x3)
            out_b[i] += (t0 * x0 + t1 * x1) + (t2 * x2 + t3 * x3)
    for j in range(fours, d):
        x = X[j * ROWS : (j + 1) * ROWS]
        s0, t0 = slope[j], slope_b[j]
        for i in range(ROWS):
            out[i] += s0 * x[i]
            out_b[i] += t0 * x[i]


@njit(**OPTIONS)
def affine_of_one(X, a, slope, out):
    """Fill ``out`` with a + slope . X."""
    for i in range(ROWS):
        out[i] = a
    d = slope.size
    fours = d - d % 4
    for j in range(0, fours, 4):
        x = X[j * ROWS : (j + 4) * ROWS]
        s0, s1, s2, s3 = slope[j], slope[j + 1], slope[j + 2], slope[j + 3]
        for i in range(ROWS):
            x0, x1, x2, x3 = x[i], x[ROWS + i], x[2 * ROWS + i], x[3 * ROWS + i]
            out[i] += (s0 * x0 + s1 * x1) + (s2 * x2 + s3 * x3)
    for j in range(fours, d):
        x = X[j * ROWS : (j + 1) * ROWS]
        s0 = slope[j]
        for i in range(ROWS):
            out[i] += s0 * x[i]


@njit(**OPTIONS)
def affine_gradient(X, w, line, d_intercept, d_coef):
    """Add the gradient with respect to intercepts and slopes from that in ``w[k, line:]``."""
    last, d = d_intercept.size - 1, X.size // ROWS
    for k in range(0, last, 2):
        _gradient_of_two(
            X, w[k, line : line + ROWS], w[k + 1, line : line + ROWS],
            d_coef[k * d : (k + 1) * d], d_coef[(k + 1) * d : (k + 2) * d],
        )  # fmt: skip
    if last % 2 == 0:
        gradient_of_one(X, w[last, line : line + ROWS], d_coef[last * d :])
    for k in range(last + 1):
        d_intercept[k] += tile_sum(w[k, line : line + ROWS])


@njit(**OPTIONS)
def _gradient_of_two(X, upstream, upstream_b, d_slope, d_slope_b):
    d = d_slope.size
    fours = d - d % 4
    for j in range(0, fours, 4):
        x = X[j * ROWS : (j + 4) * ROWS]
        s0 = s1 = s2 = s3 = 0.0
        t0 = t1 = t2 = t3 = 0.0
        for i in range(ROWS):
            x0, x1, x2, x3 = x[i], x[ROWS + i], x[2 * ROWS + i], x[3 * ROWS + i]
            u, v = upstream[i], upstream_b[i]
            s0 += x0 * u
            s1 += x1 * u
            s2 += x2 * u
            s3 += x3 * u
            t0 += x0 * v
            t1 += x1 * v
            t2 += x2 * v
            t3 += x3 * v
        d_slope[j] += s0
        d_slope[j + 1] += s1
        d_slope[j + 2] += s2
        d_slope[j + 3] += s3
        d_slope_b[j] += t0
        d_slope_b[j + 1] += t1
        d_slope_b[j + 2] += t2
        d_slope_b[j + 3] += t3
    for j in range(fours, d):
        x = X[j * ROWS : (j + 1) * ROWS]
        s0 = t0 = 0.0
        for i in range(ROWS):
            s0 += x[i] * upstream[i]
            t0 += x[i] * upstream_b[i]
        d_slope[j] += s0
        d_slope_b[j] += t0


@njit(**OPTIONS)
def gradient_of_one(X, upstream, d_slope):
    """Add X . upstream to ``d_slope``."""
    for j in range(d_slope.size):
        x = X[j * ROWS : (j + 1) * ROWS]
        s0 = 0.0
        for i in range(ROWS):
            s0 += x[i] * upstream[i]
        d_slope[j] += s0


@njit(**OPTIONS)
def tile_sum(line):
    """Sum over the rows of a tile."""
    s = 0.0
    for i in range(ROWS):
        s += line[i]
    return s
