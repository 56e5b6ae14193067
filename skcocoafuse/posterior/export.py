"""A posterior in the groups of ArviZ, with the names and dims of the PyMC model."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from skcocoafuse._version import __version__
from skcocoafuse.model import forward
from skcocoafuse.model.chunks import map_rows
from skcocoafuse.model.design import DesignPart, Scale
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.parameters import Parameters
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.pymc_model import free_variables, variable_dims, variable_name
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.fit import Fit

_MAX_NUMBERS = 2**26  # in a group with a number for every draw and row: half a gigabyte
_PRIOR_DRAWS = 1000  # as many as a chain has by default
_DRAWS = ("chain", "draw")
ATTRS = {"inference_library": "skcocoafuse", "inference_library_version": __version__}

# a group's variables: (dims, array) by name, as xarray takes them
Variables = dict[str, tuple[tuple[str, ...], Any]]


@dataclass(frozen=True)
class DerivedGroups:
    """The groups that follow from the posterior and the rows.

    Parameters
    ----------
    log_likelihood, posterior_predictive : bool
        Whether to include these groups, which have a number for every draw and row.
    thin : "auto" or int
        Every ``thin``-th draw is kept in these two.
    seed : int
        Seed of the predictive draws, and of those from the priors.
    priors : bool, default=True
        Whether to include draws from the priors, and their densities.
    """

    log_likelihood: bool
    posterior_predictive: bool
    thin: Any
    seed: int
    priors: bool = True

    def every(self, n_chains: int, n_draws: int, n_rows: int) -> int:
        """``thin``, or for "auto" the smallest value that keeps a group within the size limit."""
        thin = self.thin
        if isinstance(thin, str) and thin == "auto":
            return min(n_draws, -(-n_chains * n_draws * n_rows // _MAX_NUMBERS))
        if isinstance(thin, bool) or not isinstance(thin, Integral) or thin < 1:
            raise ValueError(f"thin must be 'auto' or a positive integer; got {thin!r}.")
        return int(thin)


NO_DERIVED_GROUPS = DerivedGroups(False, False, thin=1, seed=0, priors=False)


def arviz_groups(fit: Fit, wanted: DerivedGroups) -> dict[str, Any]:
    """All requested groups.

    Parameters
    ----------
    fit : Fit
    wanted : DerivedGroups

    Returns
    -------
    dict of str to xarray.Dataset
        By name, in the order ArviZ lists them.

    Raises
    ------
    ValueError
        If ``wanted.thin`` is neither "auto" nor a positive integer.
    """
    posterior, parts, target = fit.posterior, fit.posed.designs, fit.target
    counting = np.flatnonzero(fit.problem.weight > 0)  # rows of weight 0 are excluded
    problem = fit.problem.take(counting)
    coords = {"row": counting, **_coords(posterior, parts)}
    every = wanted.every(posterior.n_chains, posterior.n_draws, len(problem.y))
    thinned = {**coords, "draw": coords["draw"][::every]}
    groups = {
        "posterior": _dataset(_original(problem, fit.in_original_units()), coords),
        "posterior_standardized": _dataset(_standardized(posterior), coords),
        "sample_stats": _dataset(_sample_stats(posterior), coords),
    }
    for name, variables in _by_rows(problem, posterior, target, wanted, every).items():
        groups[name] = _dataset(variables, thinned)
    observed: Variables = {"y": (("row",), target.undo(problem.y))}
    if wanted.priors:
        rng = np.random.default_rng([wanted.seed, 1])  # predictive draws have [seed]
        prior = fit.posed.units.undo(posterior.spec.sample_prior(rng, _PRIOR_DRAWS))
        once = {**coords, "chain": np.arange(1), "draw": np.arange(_PRIOR_DRAWS)}
        groups["prior"] = _dataset(_original(problem, prior.map(lambda a: a[None])), once)
        groups["log_prior"] = _dataset(_log_prior(posterior), coords)
    groups["observed_data"] = _dataset(observed, coords)
    groups["constant_data"] = _dataset(_constant(problem, parts), coords)
    return groups


def _dataset(variables: Variables, coords: dict[str, Any]):
    """Dataset of variables with only the coordinates of their dims.

    All are dimension coordinates: ``InferenceData.to_dataframe`` would write others once per
    variable, and fail on duplicate columns.
    """
    import xarray

    dims = {dim for own, _ in variables.values() for dim in own}
    used = {name: value for name, value in coords.items() if name in dims}
    return xarray.Dataset(variables, used, ATTRS)


def _coords(posterior: Posterior, parts: dict[str, DesignPart]) -> dict[str, Any]:
    """Coordinates by the name of their dim."""
    M = posterior.spec.n_experts
    return {
        "chain": np.arange(posterior.n_chains),
        "draw": np.arange(posterior.n_draws),
        "expert": np.arange(M),
        "contrast": np.arange(M - 1),
        **{f"{part}_feature": design.names for part, design in parts.items()},
    }


def _original(problem: Problem, original: Parameters) -> Variables:
    """Parameters of the model, in original units."""
    blocks = [block for block in problem.spec.blocks if block.size]
    return {b.name: ((*_DRAWS, *b.row.axes), getattr(original, b.name)) for b in blocks}


def _standardized(posterior: Posterior) -> Variables:
    """Variables of the PyMC model: free ones, then parameters that are functions of these."""
    spec, parameters = posterior.spec, posterior.parameters
    free = free_variables(spec, spec.pack(parameters))
    blocks = [block for block in spec.blocks if block.size]
    variables: Variables = {
        variable_name(b): ((*_DRAWS, *variable_dims(b)), free[variable_name(b)]) for b in blocks
    }
    for b in blocks:
        if variable_name(b) != b.name:
            variables[b.name] = ((*_DRAWS, *b.row.axes), getattr(parameters, b.name))
    return variables


def _log_prior(posterior: Posterior) -> Variables:
    """Log density of the priors, one number per parameter and draw, on the standardized scale."""
    densities = posterior.spec.log_prior(posterior.parameters)
    return {name: (_DRAWS, values) for name, values in densities.items()}


def _sample_stats(posterior: Posterior) -> Variables:
    """Sampler statistics, and for each chain its cluster and its weight in predictions."""
    cluster = np.empty(posterior.n_chains, dtype=int)
    for number, chains in enumerate(posterior.clusters):
        cluster[list(chains)] = number
    shape = posterior.n_chains, posterior.n_draws
    chain_weight = posterior.draw_weight().reshape(shape).sum(axis=1)
    stats = {
        "lp": posterior.log_posterior,
        **posterior.stats,
        "chain_cluster": np.repeat(cluster[:, None], posterior.n_draws, axis=1),
        "chain_weight": np.repeat(chain_weight[:, None], posterior.n_draws, axis=1),
    }
    return {name: (_DRAWS, values) for name, values in stats.items()}


def _by_rows(
    problem: Problem, posterior: Posterior, target: Scale, wanted: DerivedGroups, every: int
) -> dict[str, Variables]:
    """The groups with a number for every draw and row, ``every``-th draws, in original units."""
    rng, log_scale = np.random.default_rng(wanted.seed), np.log(target.scale)

    def log_likelihood(mixture, rows):
        density = forward.log_density(forward.NUMPY, mixture, problem.y[rows])
        return problem.weight[rows] * (density - log_scale)

    def posterior_predictive(mixture, rows):
        return target.undo(forward.random_values(rng, mixture))

    functions = {
        function.__name__: function
        for function in (log_likelihood, posterior_predictive)
        if getattr(wanted, function.__name__)
    }
    if not functions:
        return {}
    parameters = posterior.parameters.map(lambda a: a[:, ::every])
    shape = (*parameters.sigma.shape[:2], len(problem.y))
    out = {name: np.empty(shape) for name in functions}

    def fill(rows, designs):
        mixture = mixture_of(problem.spec, parameters, designs)
        for name, function in functions.items():
            out[name][..., rows] = function(mixture, rows)

    map_rows(fill, problem.rows, parameters.sigma.size)
    return {name: {"y": ((*_DRAWS, "row"), values)} for name, values in out.items()}


def _constant(problem: Problem, parts: dict[str, DesignPart]) -> Variables:
    """Design matrices in original units, if they have columns, and row weights."""
    variables: Variables = {
        f"X_{part}": (("row", f"{part}_feature"), parts[part].scale.undo(X))
        for part, X in problem.designs.items()
        if X.shape[1]
    }
    variables["sample_weight"] = (("row",), problem.weight)
    return variables
