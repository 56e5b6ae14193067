"""Posterior draws as plain numpy arrays."""

from dataclasses import dataclass, field

import numpy as np

from skcocoafuse.model.parameters import Parameters
from skcocoafuse.model.rows import evenly_spaced
from skcocoafuse.model.spec import ModelSpec


@dataclass(frozen=True)
class Posterior:
    """Draws on the standardized scale, with consistently labeled experts.

    Parameters
    ----------
    spec : ModelSpec
        Specification of the model.
    parameters : Parameters
        Arrays with the leading axes (chains, draws).
    log_posterior : ndarray of shape (chains, draws)
    stats : dict of str to ndarray of shape (chains, draws)
        Sampler statistics (``diverging``, ``tree_depth``, ``n_steps``, ``energy``), if there are
        any.
    clusters : tuple of tuple of int
        Chains that agree with each other, the heaviest cluster first; by default one of all chains.
    cluster_weight : ndarray of shape (clusters,)
        Weight of each cluster in predictions; sums to one.
    cluster_elpd : ndarray of shape (clusters,)
        Leave-one-out log density of the standardized target for each cluster; NaN for a single one.
    """

    spec: ModelSpec
    parameters: Parameters
    log_posterior: np.ndarray
    stats: dict[str, np.ndarray]
    clusters: tuple[tuple[int, ...], ...] = ()
    cluster_weight: np.ndarray = field(default_factory=lambda: np.ones(1))
    cluster_elpd: np.ndarray = field(default_factory=lambda: np.full(1, np.nan))

    def __post_init__(self):
        if not self.clusters:
            object.__setattr__(self, "clusters", (tuple(range(self.n_chains)),))

    def __repr__(self) -> str:
        several = f", {len(self.clusters)} chain clusters" if len(self.clusters) > 1 else ""
        return (
            f"Posterior({self.spec.n_experts} experts, {self.n_chains} chains of {self.n_draws} "
            f"draws, {self.spec.n_parameters} parameters{several})"
        )

    @property
    def n_chains(self) -> int:
        """Number of chains."""
        return self.log_posterior.shape[0]

    @property
    def n_draws(self) -> int:
        """Draws per chain."""
        return self.log_posterior.shape[1]

    def flat(self) -> Parameters:
        """Parameters with one draw axis, chains concatenated."""
        return self.parameters.flatten_draws()

    def draw_weight(self) -> np.ndarray:
        """Weight of every draw of :meth:`flat` in predictions; sums to one."""
        chain_weight = np.empty(self.n_chains)
        for chains, weight in zip(self.clusters, self.cluster_weight, strict=True):
            chain_weight[list(chains)] = weight / len(chains)
        return np.repeat(chain_weight / self.n_draws, self.n_draws)

    def chains(self, numbers) -> "Posterior":
        """Some of the chains, as one cluster."""
        numbers = list(numbers)
        return Posterior(
            self.spec,
            self.parameters.map(lambda a: a[numbers]),
            self.log_posterior[numbers],
            {name: values[numbers] for name, values in self.stats.items()},
        )

    def shortened(self, max_draws: int) -> "Posterior":
        """At most ``max_draws`` evenly spaced draws of each chain, as one cluster."""
        chosen = evenly_spaced(self.n_draws, max_draws)
        return Posterior(
            self.spec,
            self.parameters.map(lambda a: a[:, chosen]),
            self.log_posterior[:, chosen],
            {name: values[:, chosen] for name, values in self.stats.items()},
        )

    def main_cluster(self) -> "Posterior":
        """The chains of the heaviest cluster; parameters of others have a different meaning."""
        return self if len(self.clusters) == 1 else self.chains(self.clusters[0])

    def thinned(self, max_draws: int) -> Parameters:
        """At most ``max_draws`` evenly spaced draws of :meth:`flat`."""
        flat = self.flat()
        chosen = evenly_spaced(len(flat.sigma), max_draws)
        return flat.map(lambda a: a[chosen])
