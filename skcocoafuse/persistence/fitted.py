"""The result of ``fit`` as named arrays with dims and plain values, and back.

What is read back is checked here: each array has the expected dtype and shape before compiled code
sees it, and every size is that of an array, so nothing is larger than the contents of the file.
"""

from typing import Any

import numpy as np

from skcocoafuse.model.design import DesignPart, Scale
from skcocoafuse.model.inputs import Inputs
from skcocoafuse.model.parameters import (
    LEAST_DF,
    NOISE,
    NOISES,
    NORMAL,
    PARAMETERS,
    PARTS,
    Parameters,
    complete_priors,
)
from skcocoafuse.model.posing import Posed, argument_of
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.recorded import RecordedInputs
from skcocoafuse.model.rows import RowsInMemory
from skcocoafuse.model.spec import ModelSpec
from skcocoafuse.persistence import demands
from skcocoafuse.persistence.demands import check
from skcocoafuse.persistence.earlier import constant_noise
from skcocoafuse.persistence.transformers import TRANSFORMERS, check_cost
from skcocoafuse.posterior.draws import Posterior
from skcocoafuse.posterior.fit import Fit

_DRAWS = ("chain", "draw")
_STATS = "stats_"  # prefix of the names of sampler statistics
_FIGURES = (  # numbers in the diagnostics of every fit
    "rhat",
    "rhat_log_posterior",
    "rhat_within",
    "ess",
    "n_divergences",
    "mean_n_steps",
    "max_tree_depth",
    "n_effective_experts",
    "n_chains",
    "n_draws",
)


# -- to plain values and arrays ----------------------------------------------------------

#: Diagnostics whose names in files are those of older releases.
_IN_FILES = {
    "chain_clusters": "islands",
    "cluster_weight": "island_weight",
    "cluster_elpd": "island_elpd",
}


def arrays_of(fit: Fit) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """All values with a number for every draw or row: (dims, array) by name, if not empty."""
    problem, posterior, designs = fit.problem, fit.posterior, fit.posed.designs
    parameters = posterior.parameters._asdict()
    arrays = {
        **{
            name: ((*_DRAWS, *PARAMETERS[name].axes), p)
            for name, p in parameters.items()
            if p is not None
        },
        "log_posterior": (_DRAWS, posterior.log_posterior),
        **{_STATS + name: (_DRAWS, values) for name, values in posterior.stats.items()},
        **{f"X_{part}": (("row", f"{part}_feature"), X) for part, X in problem.designs.items()},
        "y": (("row",), problem.y),
        "sample_weight": (("row",), problem.weight),
        "feature_is_used": (("feature",), _used(designs, len(fit.posed.numeric_columns))),
    }
    for design in designs.values():
        if design.inputs is not None:  # all parts see the same rows
            arrays["X"] = (("row", "feature"), design.inputs.values)
    return {name: (dims, array) for name, (dims, array) in arrays.items() if array.size}


def values_of(fit: Fit) -> dict[str, Any]:
    """All other values, as arguments of :func:`skcocoafuse.persistence.values.encode`."""
    posed, spec, posterior = fit.posed, fit.problem.spec, fit.posterior
    return {
        "n_features_in": len(posed.numeric_columns),
        "feature_names_in": posed.feature_names,
        "numeric_columns": posed.numeric_columns,
        "inputs": _kinds_of_inputs(posed),
        "designs": {part: _design_values(design) for part, design in posed.designs.items()},
        "target": _scale_values(posed.target),
        "n_experts": spec.n_experts,
        "priors": spec.priors,
        "rounding_variance": spec.rounding_variance,
        "noise": spec.noise,
        "islands": [list(chains) for chains in posterior.clusters],
        "island_weight": posterior.cluster_weight,
        "island_elpd": posterior.cluster_elpd,
        "diagnostics": {_IN_FILES.get(name, name): v for name, v in fit.diagnostics.items()},
    }


def _kinds_of_inputs(posed: Posed) -> dict[str, Any] | None:
    """The meaning of the numbers of ``X`` if they are not the inputs themselves."""
    recorded = [design.inputs for design in posed.designs.values() if design.inputs is not None]
    if not recorded or recorded[0].kinds is None:
        return None
    if missing := recorded[0].not_recorded(posed.feature_names):
        raise TypeError(
            f"save() cannot write column {missing[0]!r} of X, which a transformer was fitted to: "
            "it must contain numbers, strings, categories of these, or dates. Remove it from X, or "
            "save this estimator with joblib.dump or skops.io.dump."
        )
    return {"kinds": recorded[0].kinds, "levels": recorded[0].levels}


def _design_values(design: DesignPart) -> dict[str, Any]:
    return {
        "columns": design.columns,
        "transformer": design.transformer,
        "names": list(design.names),
        **_scale_values(design.scale),
    }


def _scale_values(scale: Scale) -> dict[str, Any]:
    return {"loc": scale.loc, "scale": scale.scale}


def _used(designs: dict[str, DesignPart], n_features: int) -> np.ndarray:
    """Whether a part uses it, for every input; also used to check the number of inputs."""
    used = np.zeros(n_features, dtype=bool)
    for design in designs.values():
        used[... if design.columns is None else design.columns] = True
    return used


# -- and back ----------------------------------------------------------------------------


def fit_from(arrays, values: dict[str, Any], behavior: float | None) -> Fit:
    """Inverse of :func:`arrays_of` and :func:`values_of`.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Copied, so they may be views of temporary memory.
    values : dict
    behavior : float or None
        ``ModelSpec.behavior``.

    Raises
    ------
    KeyError, TypeError, ValueError
        If something is missing, of another type, or does not match the rest in shape.
    """
    names_in, n_features = _inputs(arrays, values)
    y, weight = _rows(arrays)
    inputs = _training_inputs(arrays, values, (len(y), n_features))
    parts = {NOISE: _design_values(constant_noise()), **values["designs"]}  # not in format 2.1
    labels = {
        part: demands.strings(parts[part]["names"], f"designs.{part}.names") for part in PARTS
    }
    matrices = {part: _numbers(arrays, f"X_{part}", (len(y), len(labels[part]))) for part in PARTS}
    designs = {
        part: _design(part, parts[part], labels[part], inputs, n_features, names_in)
        for part in PARTS
    }
    used = _array(arrays, "feature_is_used", (n_features,), "b")
    check(np.array_equal(used, _used(designs, n_features)), "feature_is_used", "what parts see")
    _check_transformers(designs, matrices, names_in)
    spec = ModelSpec(
        demands.count(values["n_experts"], "n_experts", least=1),
        {part: len(names) for part, names in labels.items()},
        behavior=behavior,
        priors=complete_priors(values["priors"]),
        rounding_variance=demands.number(values["rounding_variance"], "rounding_variance", 0.0),
        noise=_noise(values.get("noise", NORMAL)),  # not in format 2.2
    )
    posed = Posed(
        designs,
        _scale(values["target"], "target", ()),
        Problem(spec, RowsInMemory(matrices, y, weight)),
        _numeric_columns(values, n_features),
        names_in,
    )
    posterior = _posterior(arrays, values, spec)
    return Fit(posed, posterior, _diagnostics(values["diagnostics"], posterior))


def _noise(name) -> str:
    check(name in NOISES, "noise", f"one of {NOISES}")
    return name


def _inputs(arrays, values: dict[str, Any]) -> tuple[np.ndarray | None, int]:
    """Names of the inputs, if they have any, and their number."""
    names = values["feature_names_in"]
    n_features = demands.count(values["n_features_in"], "n_features_in", least=1)
    if names is not None:
        right = isinstance(names, np.ndarray) and names.shape == (n_features,)
        check(right and names.dtype.kind == "O", "feature_names_in", f"{n_features} names")
    wanted = "as many as there are flags in feature_is_used"
    check(arrays["feature_is_used"].shape == (n_features,), "n_features_in", wanted)
    return names, n_features


def _rows(arrays) -> tuple[np.ndarray, np.ndarray]:
    """Target and weight of the rows."""
    shape = arrays["y"].shape
    check(len(shape) == 1, "y", "one axis")
    y, weight = (_numbers(arrays, name, shape) for name in ("y", "sample_weight"))
    right = (weight >= 0).all() and weight.any()
    check(right, "sample_weight", "no negative number, and a positive one")
    return y, weight


def _numeric_columns(values: dict[str, Any], n_features: int) -> np.ndarray:
    """Flags of numeric columns; in files of format 2.0 all columns were numeric."""
    if "numeric_columns" not in values:
        return np.ones(n_features, dtype=bool)
    flags = values["numeric_columns"]
    right = isinstance(flags, np.ndarray) and flags.dtype == bool and flags.shape == (n_features,)
    check(right, "numeric_columns", f"{n_features} flags")
    return flags


def _training_inputs(arrays, values: dict[str, Any], shape) -> RecordedInputs | None:
    """Training inputs of transformers, if any, with missing values; only transformers see them."""
    if "X" not in arrays:
        return None
    kinds = values.get("inputs")  # files of format 2.0 have none
    check(kinds is None or isinstance(kinds, dict), "inputs", "kinds and levels")
    return RecordedInputs.read(_array(arrays, "X", shape, "f"), **(kinds or {}))


def _design(
    part: str, own: dict[str, Any], labels: list[str], inputs, n_features: int, names_in
) -> DesignPart:
    """A part of the model, with its transformer, if any, fitted again."""
    name, n_columns = f"designs.{part}", len(labels)
    scale = _scale(own, name, (n_columns,))
    transformer, columns = own["transformer"], own["columns"]
    if transformer is not None:
        check(type(transformer) in TRANSFORMERS.values(), f"{name}.transformer", "a known kind")
        check(inputs is not None, f"{name}.transformer", "inputs X")
        check_cost(transformer, inputs.n_distinct(names_in), n_columns)
        return DesignPart.again(transformer, scale, labels, inputs, names_in)
    right = (
        isinstance(columns, np.ndarray)
        and columns.dtype.kind == "i"
        and columns.shape == (n_columns,)
        and ((columns >= 0) & (columns < n_features)).all()
    )
    check(right, f"{name}.columns", f"{n_columns} numbers below {n_features}")
    return DesignPart(columns.astype(int), None, scale, labels)


def _posterior(arrays, values: dict[str, Any], spec: ModelSpec) -> Posterior:
    lead = arrays["log_posterior"].shape
    clusters = demands.group_numbers(values["islands"], "islands")
    check(
        len(lead) == 2 and sorted(c for chains in clusters for c in chains) == list(range(lead[0])),
        "islands",
        "each chain once",
    )
    shapes = {b.name: (*lead, *(spec.sizes[dim] for dim in b.row.axes)) for b in spec.blocks}
    parameters = Parameters(**{name: _numbers(arrays, name, s) for name, s in shapes.items()})
    check((parameters.sigma > 0).all(), "sigma", "positive numbers")
    if parameters.noise_df is not None:
        check((parameters.noise_df > LEAST_DF).all(), "noise_df", f"numbers above {LEAST_DF:g}")
    weight, elpd = (
        demands.numbers(values[name], name, (len(clusters),))
        for name in ("island_weight", "island_elpd")
    )
    check((weight >= 0).all() and np.isclose(weight.sum(), 1.0), "island_weight", "a sum of one")
    stats = [name for name in arrays if name.startswith(_STATS)]
    return Posterior(
        spec,
        parameters,
        _array(arrays, "log_posterior", lead, "f"),
        {name.removeprefix(_STATS): _array(arrays, name, lead, "biuf") for name in stats},
        tuple(map(tuple, clusters)),
        weight,
        elpd,
    )


def _diagnostics(values, posterior: Posterior) -> dict[str, Any]:
    """Checked diagnostics that ``evaluation.diagnostics`` uses; an engine may add others."""
    check(isinstance(values, dict), "diagnostics", "names and values")
    for name in _FIGURES:
        demands.number(values[name], f"diagnostics.{name}")
    demands.number(values.get("pareto_k", np.nan), "diagnostics.pareto_k")
    _check_remedies(values.get("remedies", {}))
    size = (values["n_chains"], values["n_draws"])
    check(size == posterior.log_posterior.shape, "diagnostics", "n_chains and n_draws of the draws")
    clusters = demands.group_numbers(values["islands"], "diagnostics.islands")
    for name in ("island_weight", "island_elpd"):
        demands.numbers(values[name], f"diagnostics.{name}", (len(clusters),))
    demands.numbers(values["expert_share"], "diagnostics.expert_share", (posterior.spec.n_experts,))
    check(isinstance(values["seconds"], dict), "diagnostics.seconds", "names and numbers")
    for phase, seconds in values["seconds"].items():
        demands.number(seconds, f"diagnostics.seconds[{phase!r}]")
    names = {there: here for here, there in _IN_FILES.items()}
    return {names.get(name, name): value for name, value in values.items()}


def _check_remedies(remedies) -> None:
    """Check the cost of each remedy of the sampler; older files and other engines have none."""
    check(isinstance(remedies, dict), "diagnostics.remedies", "names and costs")
    for remedy, cost in remedies.items():
        name = f"diagnostics.remedies[{remedy!r}]"
        wanted = ("rounds", "gradients", "seconds")
        right = isinstance(cost, dict) and sorted(cost) == sorted(wanted)
        check(right, name, " and ".join(wanted))
        for key in wanted:
            demands.number(cost[key], f"{name}.{key}", least=0)


def _check_transformers(designs, matrices, names) -> None:
    """Check that they reproduce their columns: another scikit-learn may behave differently."""
    for part, design in designs.items():
        if design.transformer is None:
            continue
        inputs = Inputs(design.inputs.table(names), names)
        found = design.transform(inputs, argument_of(part))
        same = found.shape == matrices[part].shape and np.allclose(found, matrices[part])
        check(same, f"designs.{part}.transformer", "the columns it gave when the fit was saved")


def _numbers(arrays, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A finite array of float64 for compiled code; zeros if it is empty."""
    if 0 in shape:
        return np.zeros(shape)
    values = _array(arrays, name, shape, "f")
    check(np.isfinite(values).all(), name, "finite numbers")
    return values


def _array(arrays, name: str, shape: tuple[int, ...], kinds: str) -> np.ndarray:
    """A copy in native byte order; floats are float64."""
    check(name in arrays, "the file", f"a variable {name!r}")
    found = arrays[name]
    dtype = found.dtype.newbyteorder("=")
    check(found.shape == shape, name, f"shape {shape}, not {found.shape}")
    right = dtype.kind in kinds and (dtype.kind != "f" or dtype == np.float64)
    check(right, name, f"numbers of its kind ({kinds}), not {dtype}")
    return np.array(found, dtype, order="C")


def _scale(values: dict[str, Any], name: str, shape: tuple[int, ...]) -> Scale:
    loc, scale = (np.asarray(values[key]) for key in ("loc", "scale"))
    right = (
        loc.shape == scale.shape == shape
        and loc.dtype == scale.dtype == np.float64
        and np.isfinite(loc).all()
        and np.isfinite(scale).all()
        and (scale > 0).all()
    )
    wanted = f"loc and scale for each of {shape[0]} names" if shape else "loc and scale"
    check(right, name, f"{wanted}, finite and scale positive")
    return Scale(loc, scale)
