"""What the experts, the gate and the behavior do at individual rows.

If chains disagree, parameters are meaningful within one chain cluster only; the heaviest is used.
"""

from collections.abc import Callable, Sequence

import numpy as np

from skcocoafuse._validation import check_probability
from skcocoafuse.model import forward
from skcocoafuse.model.chunks import map_chunks
from skcocoafuse.model.inputs import Inputs
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.parameters import BEHAVIOR, EXPERT, GATE, NOISE, Parameters
from skcocoafuse.model.posing import argument_of
from skcocoafuse.posterior.fit import Fit
from skcocoafuse.predictive.local import local_slopes

Designs = dict[str, np.ndarray]
Tails = Sequence[float]
#: Posterior mean of each row, and quantiles along a last axis, if there are tails.
Insight = tuple[np.ndarray, np.ndarray | None]


def credible_tails(coverage: float | None) -> list[float]:
    """Probabilities of the ends of a central interval; none without a coverage.

    Raises
    ------
    ValueError
        If it is not strictly between 0 and 1.
    """
    if coverage is None:
        return []
    outside = 1.0 - float(check_probability(coverage, "coverage"))
    return [0.5 * outside, 1.0 - 0.5 * outside]


def expert_means(fit: Fit, designs: Designs, tails: Tails = ()) -> Insight:
    """Every expert's line, (rows, n_experts), in the target's units."""
    mean_draw = fit.posterior.main_cluster().flat().map(lambda a: a.mean(axis=0))
    mean = forward.expert_means(forward.NUMPY, mean_draw, designs[EXPERT])  # linear, so exact

    def lines(flat: Parameters, own: Designs):
        return forward.expert_means(forward.NUMPY, flat, own[EXPERT])

    quantile = _over_rows(lines, fit, designs, tails)[1] if len(tails) else None
    return fit.target.undo(mean), None if quantile is None else fit.target.undo(quantile)


def noise(fit: Fit, designs: Designs, tails: Tails = ()) -> Insight:
    """The standard deviation around every line, (rows, n_experts)."""
    rounding_variance = fit.problem.spec.rounding_variance

    def noise_of_draws(flat: Parameters, own: Designs):
        variance = forward.expert_variances(forward.NUMPY, flat, own[NOISE], rounding_variance)
        n_draws, n_experts = flat.sigma.shape
        return np.broadcast_to(np.sqrt(variance), (n_draws, len(own[NOISE]), n_experts))

    mean, quantile = _over_rows(noise_of_draws, fit, designs, tails)
    return fit.target.scale * mean, None if quantile is None else fit.target.scale * quantile


def gate(fit: Fit, designs: Designs, tails: Tails = ()) -> Insight:
    """The gate, (rows, n_experts)."""

    def weights(flat: Parameters, own: Designs):
        return np.exp(forward.log_gate(forward.NUMPY, flat, own[GATE]))

    return _over_rows(weights, fit, designs, tails)


def behavior(fit: Fit, designs: Designs, tails: Tails = ()) -> Insight:
    """A learned beta, (rows,)."""

    def beta(flat: Parameters, own: Designs):
        return forward.behavior(forward.NUMPY, flat, own[BEHAVIOR])[..., 0]

    return _over_rows(beta, fit, designs, tails)


def mean(fit: Fit, designs: Designs, tails: Tails = ()) -> Insight:
    """The mean of the predictive distribution, (rows,), of all chain clusters by weight."""
    spec = fit.problem.spec

    def means(flat: Parameters, own: Designs):
        return forward.mean_and_variance(mixture_of(spec, flat, own))[0]

    draws, weight = fit.posterior.flat(), fit.posterior.draw_weight()
    center, quantile = _weighted_over_rows(means, draws, weight, designs, tails)
    return fit.target.undo(center), None if quantile is None else fit.target.undo(quantile)


def _over_rows(function: Callable, fit: Fit, designs: Designs, tails: Tails) -> Insight:
    """Of the heaviest chain cluster, whose draws have the same weight."""
    draws = fit.posterior.main_cluster().flat()
    return _weighted_over_rows(function, draws, None, designs, tails)


def _weighted_over_rows(
    function: Callable, draws: Parameters, weight, designs: Designs, tails: Tails
) -> Insight:
    """Mean and quantiles of ``function(draws, designs)``, (draws, rows, ...), by chunks of rows."""
    weighted = {} if weight is None else {"weights": weight, "method": "inverted_cdf"}

    def summarized(_, part):
        values = function(draws, part)
        found = [np.average(values, axis=0, weights=weight)]
        if len(tails):
            found.append(np.moveaxis(np.quantile(values, tails, axis=0, **weighted), 0, -1))
        return found

    chunks = map_chunks(summarized, designs, draws.sigma.size)
    center, *quantile = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
    return center, quantile[0] if quantile else None


def local_coef(fit: Fit, inputs: Inputs, tails: Tails) -> Insight:
    """Slopes of each row's predictive mean with respect to each input.

    Parameters
    ----------
    fit : Fit
    inputs : Inputs
    tails : sequence of float
        Probabilities of quantiles.

    Returns
    -------
    mean : ndarray of shape (rows, features)
        NaN for inputs that are not numeric.
    quantile : ndarray of shape (rows, features, tails), or None
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
    return mean, quantile if len(tails) else None
