"""What the experts, the gate and the behavior do at individual rows.

If chains disagree, parameters are meaningful within one chain cluster only; the heaviest is used.
"""

from collections.abc import Callable

import numpy as np

from skcocoafuse.model import forward
from skcocoafuse.model.chunks import map_chunks
from skcocoafuse.model.inputs import Inputs
from skcocoafuse.model.parameters import EXPERT, GATE, NOISE, Parameters
from skcocoafuse.model.posing import argument_of
from skcocoafuse.posterior.fit import Fit
from skcocoafuse.predictive.local import local_slopes

Designs = dict[str, np.ndarray]


def expert_means(fit: Fit, designs: Designs) -> np.ndarray:
    """Posterior mean of every expert's line, (rows, n_experts), in the target's units."""
    flat = fit.posterior.main_cluster().flat()
    mean = flat.map(lambda a: a.mean(axis=0))  # linear, so this is exact
    return fit.target.undo(forward.expert_means(forward.NUMPY, mean, designs[EXPERT]))


def noise(fit: Fit, designs: Designs) -> np.ndarray:
    """Posterior mean of the standard deviation around every line, (rows, n_experts)."""
    rounding_variance = fit.problem.spec.rounding_variance

    def mean_noise(flat: Parameters, own: Designs):
        variance = forward.expert_variances(forward.NUMPY, flat, own[NOISE], rounding_variance)
        return np.broadcast_to(
            np.sqrt(variance).mean(axis=0), (len(own[NOISE]), flat.sigma.shape[1])
        )

    return fit.target.scale * _over_rows(mean_noise, fit, designs)


def gate(fit: Fit, designs: Designs) -> np.ndarray:
    """Posterior mean of the gate, (rows, n_experts)."""

    def mean_gate(flat: Parameters, own: Designs):
        return np.exp(forward.log_gate(forward.NUMPY, flat, own["gate"])).mean(axis=0)

    return _over_rows(mean_gate, fit, designs)


def behavior(fit: Fit, designs: Designs) -> np.ndarray:
    """Posterior mean of a learned beta, (rows,)."""

    def mean_beta(flat: Parameters, own: Designs):
        draws = forward.behavior(forward.NUMPY, flat, own["behavior"])
        return np.mean(draws, axis=0)[:, 0]

    return _over_rows(mean_beta, fit, designs)


def _over_rows(function: Callable, fit: Fit, designs: Designs) -> np.ndarray:
    """Concatenate ``function(draws, designs)`` over chunks of rows, to bound memory."""
    flat = fit.posterior.main_cluster().flat()
    chunks = map_chunks(lambda _, part: function(flat, part), designs, flat.sigma.size)
    return np.concatenate(chunks)


def local_coef(fit: Fit, inputs: Inputs, tails: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Slopes of each row's predictive mean with respect to each input.

    Parameters
    ----------
    fit : Fit
    inputs : Inputs
    tails : list of float
        Probabilities of quantiles.

    Returns
    -------
    mean : ndarray of shape (rows, features)
        NaN for inputs that are not numeric.
    quantile : ndarray of shape (rows, features, tails)
    """
    posed, posterior = fit.posed, fit.posterior
    chains = {
        part: posed.designs[part].pull_back(inputs, posed.numeric_columns, argument_of(part))
        for part in (EXPERT, GATE)
    }

    def pull_back(part, slopes, rows):
        return posed.target.scale * chains[part](slopes, rows)

    draws, weight = posterior.flat(), posterior.draw_weight()
    matrices = posed.matrices(inputs)
    mean, quantile = local_slopes(draws, matrices, weight, pull_back, inputs.shape[1], tails)
    mean[:, ~posed.numeric_columns] = quantile[:, ~posed.numeric_columns] = np.nan
    return mean, quantile
