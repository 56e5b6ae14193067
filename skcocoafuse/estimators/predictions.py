"""Predictive distributions given draws from a posterior or from the priors."""

import numpy as np

from skcocoafuse._validation import seed_from
from skcocoafuse.model.mixtures import random_targets
from skcocoafuse.model.posing import Posed
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.predictive import PredictiveDistribution


def of_posterior(
    posed: Posed, posterior: Posterior, designs: dict[str, np.ndarray], n_jobs: int | None
) -> PredictiveDistribution:
    """Predictive distribution of rows given posterior draws.

    Parameters
    ----------
    posed : Posed
    posterior : Posterior
    designs : dict of str to ndarray
        Standardized design matrices of the rows.
    n_jobs : int or None
        Number of threads.
    """
    return PredictiveDistribution(
        posterior.spec,
        posterior.flat(),
        designs,
        float(posed.target.loc),
        float(posed.target.scale),
        posterior.draw_weight(),
        n_jobs=n_jobs,
    )


def of_prior(
    posed: Posed, designs: dict[str, np.ndarray], n_samples: int, random_state
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Random targets of rows given draws from the priors, and these draws in original units.

    Parameters
    ----------
    posed : Posed
    designs : dict of str to ndarray
        Standardized design matrices of the rows.
    n_samples : int
    random_state : int, RandomState instance or None

    Returns
    -------
    values : ndarray of shape (n_samples, rows)
    parameters : dict of str to ndarray
        Parameters of the model, with a leading axis of length ``n_samples``.
    """
    rng, spec = np.random.default_rng(seed_from(random_state)), posed.problem.spec
    draws = spec.sample_prior(rng, n_samples)
    values = posed.target.undo(random_targets(rng, spec, draws, designs))
    original = posed.units.undo(draws)._asdict()
    return values, {name: each for name, each in original.items() if each is not None}
