"""Slopes of the predictive mean at individual rows."""

from collections.abc import Callable, Sequence

import numpy as np

from skcocoafuse.model import forward
from skcocoafuse.model.chunks import map_chunks
from skcocoafuse.model.parameters import Parameters


def local_slopes(
    parameters: Parameters,
    designs: dict[str, np.ndarray],
    draw_weight: np.ndarray,
    pull_back: Callable[[str, np.ndarray, slice], np.ndarray],
    n_features: int,
    quantiles: Sequence[float],
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and quantiles of the slopes of each row's mean with respect to each input.

    Parameters
    ----------
    parameters : Parameters
        With one leading draw axis.
    designs : dict of str to ndarray
    draw_weight : ndarray of shape (draws,)
    pull_back : callable
        ``pull_back(part, slopes, rows)``: slopes with respect to inputs from those with respect to
        columns of a design matrix.
    n_features : int
        Number of inputs.
    quantiles : sequence of float

    Returns
    -------
    mean : ndarray of shape (rows, features)
    quantile : ndarray of shape (rows, features, quantiles)
    """
    n_rows = len(designs["expert"])
    mean = np.empty((n_rows, n_features))
    quantile = np.empty((n_rows, n_features, len(quantiles)))

    def fill(rows, part):
        by_expert, by_gate = forward.mean_slopes(parameters, part["expert"], part["gate"])
        slopes = pull_back("expert", by_expert, rows) + pull_back("gate", by_gate, rows)
        mean[rows] = np.tensordot(draw_weight, slopes, axes=1)
        if quantiles:
            weight = np.broadcast_to(draw_weight[:, None, None], slopes.shape)
            found = np.quantile(slopes, quantiles, axis=0, weights=weight, method="inverted_cdf")
            quantile[rows] = np.moveaxis(found, 0, -1)

    map_chunks(fill, designs, len(draw_weight) * n_features)
    return mean, quantile
