"""Exponential and logarithm that compilers turn into vector instructions.

``math.exp`` and ``math.log`` are library calls, made one number at a time; in a
loop they cost three to four times what the arithmetic below costs, because this
arithmetic is unrolled four or eight numbers wide. Both are accurate to about
two units in the last place over the stated range (tests compare with numpy).
"""

from math import factorial, sqrt

from skcocoafuse.compiled.jit import bits_of as _bits
from skcocoafuse.compiled.jit import njit
from skcocoafuse.compiled.jit import real_of as _real

# No reassociation: the rounding trick and the two-part log(2) depend on the order.
_OPTIONS = {
    "fastmath": {"contract"},
    "error_model": "numpy",
    "cache": True,
    "nogil": True,
    "forceinline": True,
}

_LOG2_E = 1.0 / 0.6931471805599453
# The logarithm of 2 in two parts, the first with zeros in its last 20 bits, so that its products
# with exponents are exact (Cody and Waite, 1980).
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10  # the second part
_ROUND = 1.5 * 2.0**52  # adding it leaves the nearest integer in the lowest bits
_SQRT2 = sqrt(2.0)
_C = tuple(1.0 / factorial(k) for k in range(13))


@njit(**_OPTIONS)
def exp(x):
    """exp(x) for finite x <= 709; below -708 it stays at exp(-708), about 3e-308."""
    x = max(x, -708.0)
    shifted = x * _LOG2_E + _ROUND
    k = shifted - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    low = (_C[0] + _C[1] * r) + (_C[2] + _C[3] * r) * r2
    middle = (_C[4] + _C[5] * r) + (_C[6] + _C[7] * r) * r2
    high = (_C[8] + _C[9] * r) + (_C[10] + _C[11] * r) * r2
    p = low + r4 * (middle + r4 * (high + r4 * _C[12]))
    return p * _real((_bits(shifted) + 1023) << 52)


@njit(**_OPTIONS)
def log(x):
    """log(x) for positive, finite, normal x."""
    bits = _bits(x)
    # int64 to float64 without a conversion instruction: 2**52 + exponent, as bits
    e = _real((bits >> 52) | 0x4330000000000000) - 4503599627371519.0
    m = _real((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000)
    upper = m > _SQRT2
    m = 0.5 * m if upper else m
    e = e + 1.0 if upper else e
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = 1.0 / 21
    p = p * z + 1.0 / 19
    p = p * z + 1.0 / 17
    p = p * z + 1.0 / 15
    p = p * z + 1.0 / 13
    p = p * z + 1.0 / 11
    p = p * z + 1.0 / 9
    p = p * z + 1.0 / 7
    p = p * z + 1.0 / 5
    p = p * z + 1.0 / 3
    return e * _LN2_HIGH + (2.0 * s + (2.0 * s * z * p + e * _LN2_LOW))


@njit(**_OPTIONS)
def log1p(x):
    """log(1 + x) for x >= 0, with the digits that 1 + x loses."""
    u = 1.0 + x
    return log(u) + (x - (u - 1.0)) / u
