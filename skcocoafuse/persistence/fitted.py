"""What ``fit`` found, as arrays with names and dims beside plain values, and back."""

from typing import Any, NamedTuple

import numpy as np

from skcocoafuse.model.design import DesignPart, Scale
from skcocoafuse.model.inputs import Inputs
from skcocoafuse.model.priors import complete_priors
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.recorded import RecordedInputs
from skcocoafuse.model.spec import DIMS, ModelSpec, Parameters
from skcocoafuse.posterior.draws import Posterior

PARTS = ("expert", "gate", "behavior")
_DRAWS = ("chain", "draw")
_STATS = "stats_"  # before the names of sampler statistics


class FittedState(NamedTuple):
    """All that a fitted estimator holds, but its parameters and what follows from these.

    ``designs`` and ``target`` standardise; ``problem`` has the rows, ``posterior`` the draws.
    """

    designs: dict[str, DesignPart]
    target: Scale
    problem: Problem
    posterior: Posterior
    diagnostics: dict[str, Any]
    n_features_in: int
    feature_names_in: np.ndarray | None
    numeric_columns: np.ndarray


# -- to plain values and arrays ----------------------------------------------------------


def arrays_of(state: FittedState) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """All with a number for every draw or row: (dims, array) by name; none without numbers."""
    problem, posterior = state.problem, state.posterior
    parameters = posterior.parameters._asdict()
    arrays = {
        **{name: ((*_DRAWS, *DIMS[name]), p) for name, p in parameters.items() if p is not None},
        "log_posterior": (_DRAWS, posterior.log_posterior),
        **{_STATS + name: (_DRAWS, values) for name, values in posterior.stats.items()},
        **{f"X_{part}": (("row", f"{part}_feature"), X) for part, X in problem.designs.items()},
        "y": (("row",), problem.y),
        "sample_weight": (("row",), problem.weight),
    }
    for design in state.designs.values():
        if design.inputs is not None:  # all parts see the same rows
            arrays["X"] = (("row", "feature"), design.inputs.values)
    return {name: (dims, array) for name, (dims, array) in arrays.items() if array.size}


def values_of(state: FittedState) -> dict[str, Any]:
    """The rest, as :func:`skcocoafuse.persistence.values.encode` takes it."""
    spec, posterior = state.problem.spec, state.posterior
    return {
        "n_features_in": state.n_features_in,
        "feature_names_in": state.feature_names_in,
        "numeric_columns": state.numeric_columns,
        "inputs": _kinds_of_inputs(state),
        "designs": {
            part: {
                "columns": design.columns,
                "transformer": design.transformer,
                "names": list(design.names),
                **_scale_values(design.scale),
            }
            for part, design in state.designs.items()
        },
        "target": _scale_values(state.target),
        "n_experts": spec.n_experts,
        "priors": spec.priors,
        "rounding_variance": spec.rounding_variance,
        "islands": [list(chains) for chains in posterior.islands],
        "island_weight": posterior.island_weight,
        "island_elpd": posterior.island_elpd,
        "diagnostics": state.diagnostics,
    }


def _kinds_of_inputs(state: FittedState) -> dict[str, Any] | None:
    """What the numbers of ``X`` stand for, where they are not the inputs themselves."""
    recorded = [design.inputs for design in state.designs.values() if design.inputs is not None]
    if not recorded or recorded[0].kinds is None:
        return None
    if missing := recorded[0].not_recorded(state.feature_names_in):
        raise TypeError(
            f"save() cannot write column {missing[0]!r} of X, which a transformer was fitted to: "
            "it must hold numbers, strings, categories of these, or dates. Leave it out of X, or "
            "keep this estimator by joblib.dump or skops.io.dump."
        )
    return {"kinds": recorded[0].kinds, "levels": recorded[0].levels}


def _scale_values(scale: Scale) -> dict[str, Any]:
    return {"loc": scale.loc, "scale": scale.scale}


# -- and back ----------------------------------------------------------------------------


def state_from(arrays, values: dict[str, Any], behavior: float | None) -> FittedState:
    """Inverse of :func:`arrays_of` and :func:`values_of`.

    Parameters
    ----------
    arrays : mapping of str to h5py.Dataset
    values : dict
    behavior : float or None
        ``ModelSpec.behavior``.

    Raises
    ------
    KeyError, TypeError, ValueError
        If something is missing, of another kind, or of another shape than the rest.
    """
    names_in = values["feature_names_in"]
    n_features, n_rows = values["n_features_in"], arrays["y"].size
    if names_in is not None:
        _check(np.shape(names_in) == (n_features,), "feature_names_in", f"{n_features} names")

    def design(part: str) -> DesignPart:
        own = values["designs"][part]
        labels, scale, transformer = own["names"], _scale(own), own["transformer"]
        _check(
            np.shape(scale.loc) == np.shape(scale.scale) == (len(labels),),
            f"designs.{part}",
            f"loc and scale for each of {len(labels)} names",
        )
        if transformer is not None:
            kinds = values.get("inputs") or {}  # older files have none
            inputs = RecordedInputs.read(_array(arrays, "X", (n_rows, n_features)), **kinds)
            return DesignPart.again(transformer, scale, labels, inputs, names_in)
        columns = own["columns"]
        fits = len(columns) == len(labels) and set(columns.tolist()) <= set(range(n_features))
        _check(fits, f"designs.{part}.columns", f"{len(labels)} numbers below {n_features}")
        return DesignPart(columns, None, scale, labels)

    numeric = values.get("numeric_columns", np.ones(n_features, dtype=bool))  # older: all
    _check(np.shape(numeric) == (n_features,), "numeric_columns", f"{n_features} flags")
    designs = {part: design(part) for part in PARTS}
    width = {part: len(design.names) for part, design in designs.items()}
    spec = ModelSpec(
        values["n_experts"],
        width["expert"],
        width["gate"],
        width["behavior"],
        behavior=behavior,
        priors=complete_priors(values["priors"]),
        rounding_variance=values["rounding_variance"],
    )
    matrices = {part: _array(arrays, f"X_{part}", (n_rows, width[part])) for part in PARTS}
    _check_transformers(designs, matrices, names_in)
    y, weight = (_array(arrays, name, (n_rows,)) for name in ("y", "sample_weight"))
    return FittedState(
        designs,
        _scale(values["target"]),
        Problem(spec, matrices, y, weight),
        _posterior(arrays, values, spec),
        values["diagnostics"],
        n_features,
        names_in,
        numeric,
    )


def _posterior(arrays, values: dict[str, Any], spec: ModelSpec) -> Posterior:
    lead = arrays["log_posterior"].shape
    sizes = {
        "expert": spec.n_experts,
        "expert_feature": spec.n_expert_features,
        "gate_feature": spec.n_gate_features,
        "behavior_feature": spec.n_behavior_features,
    }
    shapes = {b.name: (*lead, *(sizes[dim] for dim in DIMS[b.name])) for b in spec.blocks}
    stats = [name for name in arrays if name.startswith(_STATS)]
    islands = tuple(tuple(chains) for chains in values["islands"])
    _check(
        len(lead) == 2 and sorted(c for chains in islands for c in chains) == list(range(lead[0])),
        "islands",
        "each chain once",
    )
    for name in ("island_weight", "island_elpd"):
        _check(np.shape(values[name]) == (len(islands),), name, f"{len(islands)} numbers")
    return Posterior(
        spec,
        Parameters(**{name: _array(arrays, name, shape) for name, shape in shapes.items()}),
        _array(arrays, "log_posterior", lead),
        {name.removeprefix(_STATS): _array(arrays, name, lead) for name in stats},
        islands,
        values["island_weight"],
        values["island_elpd"],
    )


def _check_transformers(designs, matrices, names) -> None:
    """They must give what they gave: another scikit-learn may have changed its mind."""
    for part, design in designs.items():
        if design.transformer is None:
            continue
        inputs = Inputs(design.inputs.table(names), names)
        found = design.transform(inputs, f"{part}_features")
        same = found.shape == matrices[part].shape and np.allclose(found, matrices[part])
        _check(same, f"designs.{part}.transformer", "the columns it gave when the fit was saved")


def _array(arrays, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if 0 in shape:
        return np.zeros(shape)
    _check(name in arrays, "the file", f"a variable {name!r}")
    found = arrays[name]
    _check(found.shape == shape, name, f"shape {shape}, not {found.shape}")
    _check(found.dtype.kind in "biuf", name, f"numbers, not {found.dtype}")
    values = found[()]
    return values.astype(bool) if found.attrs.get("dtype") == "bool" else values  # netCDF has none


def _scale(values: dict[str, Any]) -> Scale:
    return Scale(np.asarray(values["loc"]), np.asarray(values["scale"]))


def _check(right: bool, name: str, wanted: str) -> None:
    if not right:
        raise ValueError(f"{name} must have {wanted}")
