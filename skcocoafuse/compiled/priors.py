"""The log prior and its gradient, from the rows of ``model.priors.FAMILIES``."""

import numpy as np

from skcocoafuse.compiled.affine import OPTIONS
from skcocoafuse.compiled.jit import njit
from skcocoafuse.compiled.layout import CENTERED
from skcocoafuse.compiled.natural import slice_of
from skcocoafuse.model.priors import FAMILIES, FAMILY_CODES

# Compiled only as a part of what calls them: numba would cache functions inside others once more in
# every process, since it cannot recognize those that they refer to.
_INSIDE = {**OPTIONS, "cache": False}


def _chosen_by_code():
    """``entry(code, x, loc, scale, df, smoothing)`` of the family with that code.

    Functions are nested, since machine code has no table of functions.
    """

    @njit(**_INSIDE)
    def chosen(code, x, loc, scale, df, smoothing):
        return np.nan, np.nan

    for name, family in FAMILIES.items():
        chosen = _first_or_rest(FAMILY_CODES[name], njit(**_INSIDE)(family.entry), chosen)
    return chosen


def _first_or_rest(own_code, first, rest):
    @njit(**_INSIDE)
    def choose(code, x, loc, scale, df, smoothing):
        if code == own_code:
            return first(x, loc, scale, df, smoothing)
        return rest(code, x, loc, scale, df, smoothing)

    return choose


_entry = _chosen_by_code()


@njit(**OPTIONS)
def log_density(prior, x, smoothing, gradient):
    """Log density of all entries of ``x``, without its constant; adds to the gradient.

    ``prior`` is (family code, loc, scale, degrees of freedom). For families of positive numbers x
    is the logarithm, and the Jacobian is included.
    """
    code, loc, scale, df = prior[0], prior[1], prior[2], prior[3]
    total = 0.0
    for i in range(x.size):
        value, slope = _entry(code, x[i], loc, scale, df, smoothing)
        total += value
        gradient[i] += slope
    return total


@njit(**OPTIONS)
def log_prior(theta, natural, model, layout, gradient, d_natural):
    """Log prior of all parameters, without constants; adds to the two gradients.

    The prior of contrasts is on the values that sum to zero; all others are on the entries of
    the unconstrained vector.
    """
    total = 0.0
    for parameter in range(model.constraint.size):
        if model.constraint[parameter] == CENTERED:
            x = slice_of(natural, layout.natural, parameter)
            own = slice_of(d_natural, layout.natural, parameter)
            smoothing = model.smoothing[0]
        else:
            x = slice_of(theta, model.unconstrained, parameter)
            own = slice_of(gradient, model.unconstrained, parameter)
            smoothing = model.smoothing[1]
        total += log_density(model.prior[parameter], x, smoothing, own)
    return total
