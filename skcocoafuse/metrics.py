"""How good intervals and predictive densities are, on plain arrays."""

import numpy as np


def interval_coverage(y, interval) -> float:
    """Share of targets inside their intervals (CIC).

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    interval : array-like of shape (n_samples, 2)
        Lower and upper ends.

    Returns
    -------
    float

    Examples
    --------
    >>> interval_coverage([0.0, 2.0], [[-1, 1], [-1, 1]])
    0.5
    """
    y, interval = np.asarray(y), np.asarray(interval)
    return float(np.mean((y >= interval[:, 0]) & (y <= interval[:, 1])))


def interval_length(interval) -> float:
    """Average length of intervals (CIL), in the target's units.

    Parameters
    ----------
    interval : array-like of shape (n_samples, 2)
        Lower and upper ends.

    Returns
    -------
    float

    Examples
    --------
    >>> interval_length([[-1, 1], [0, 1]])
    1.5
    """
    interval = np.asarray(interval)
    return float(np.mean(interval[:, 1] - interval[:, 0]))
