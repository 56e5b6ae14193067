"""The parameters of the models: a row for each, and everything derived from the rows.

The order of the rows is that of the unconstrained vector, of arrays in files and of tables. To add
a parameter, add its row and its effect on the likelihood, in ``model.forward`` and
``compiled.likelihood``.
"""

from collections import namedtuple
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skcocoafuse.model.priors import FAMILIES, POSITIVE, REAL, Prior

CONTRAST = "contrast"  # over experts: a shift common to all experts has no effect
INTERCEPT, COEF, SD, DF = "intercept", "coef", "sd", "df"  # roles
EXPERT, NOISE, GATE, BEHAVIOR = "expert", "noise", "gate", "behavior"
#: Parts of the model with separate inputs, each with a design matrix.
PARTS = (EXPERT, NOISE, GATE, BEHAVIOR)
#: Distributions of the noise around a fused expert.
NORMAL, STUDENT_T = "normal", "student_t"
NOISES = (NORMAL, STUDENT_T)
#: Degrees of freedom are larger: with fewer, predictions would have no mean.
LEAST_DF = 1.0


class Parameter(NamedTuple):
    """Everything about one parameter.

    Parameters
    ----------
    part : str
        Part of the model, one of ``PARTS``.
    role : str
        ``"intercept"`` or ``"coef"`` of the linear predictor of its part, ``"sd"`` for the standard
        deviation around it, ``"df"`` for the degrees of freedom of the noise.
    axes : tuple of str
        Names of its axes after the draw axes.
    constraint : {"real", "positive", "contrast"}
        The unconstrained vector contains the values, their logarithms, or their
        coordinates in the sum-to-zero basis along the first axis.
    prior : Prior
        Default prior, on the standardized scale; of degrees of freedom, that of the excess over
        ``LEAST_DF``.
    words : str
        Its meaning in at most 50 characters, which notebooks show whole, with ``{k}`` for the
        expert, ``{share}`` for the fraction of the rows that this expert explains, ``{spread}`` for
        what the noise law calls its spread, and ``{ratio}`` for exp of its mean as a change in
        percent.
    in_target_units : bool
        Whether its values scale with the target (an intercept also shifts with it).
        Intercepts and coefficients change with the scales of their inputs in any case.
    may_be_flat : bool
        Whether the posterior is proper with a flat prior.
    """

    part: str
    role: str
    axes: tuple[str, ...]
    constraint: str
    prior: Prior
    words: str
    in_target_units: bool = False
    may_be_flat: bool = False

    @property
    def of_experts(self) -> bool:
        """Whether each expert has its own."""
        return "expert" in self.axes

    @property
    def support(self) -> str:
        """Support of the prior: ``"positive"`` or ``"real"``."""
        return POSITIVE if self.constraint == POSITIVE else REAL


#: All parameters, by name.
PARAMETERS: dict[str, Parameter] = {
    "expert_intercept": Parameter(
        EXPERT,
        INTERCEPT,
        ("expert",),
        REAL,
        Prior("laplace"),
        "line explaining {share:.0%} of the rows, at inputs of 0",
        in_target_units=True,
    ),
    "expert_coef": Parameter(
        EXPERT,
        COEF,
        ("expert", "expert_feature"),
        REAL,
        Prior("laplace"),
        "slope of that line, per unit of the feature",
        in_target_units=True,
    ),
    "sigma": Parameter(
        EXPERT,
        SD,
        ("expert",),
        POSITIVE,
        Prior("lognormal", scale=1.0, loc=-1.0),
        "{spread} around that line",
        in_target_units=True,
    ),
    "gate_intercept": Parameter(
        GATE,
        INTERCEPT,
        ("expert",),
        CONTRAST,
        Prior("laplace"),
        "log of weight over typical weight, at inputs of 0",
    ),
    "gate_coef": Parameter(
        GATE,
        COEF,
        ("expert", "gate_feature"),
        CONTRAST,
        Prior("laplace"),
        "change of that log weight per unit of the feature",
    ),
    "behavior_intercept": Parameter(
        BEHAVIOR,
        INTERCEPT,
        (),
        REAL,
        Prior("laplace"),
        "log odds to mix rather than blend, at inputs of 0",
        may_be_flat=True,
    ),
    "behavior_coef": Parameter(
        BEHAVIOR,
        COEF,
        ("behavior_feature",),
        REAL,
        Prior("laplace"),
        "change of these log odds per unit of the feature",
    ),
    "noise_coef": Parameter(
        NOISE,
        COEF,
        ("expert", "noise_feature"),
        REAL,
        Prior("laplace", scale=0.25),
        "slope of the log of the noise: {ratio} per unit",
    ),
    "noise_df": Parameter(
        NOISE,
        DF,
        (),
        POSITIVE,
        Prior("lognormal", scale=1.0, loc=2.5),
        "degrees of freedom: the fewer, the more outliers",
    ),
}

#: How a model gets the parameters that not all have, by their part.
_OTHERWISE = {
    BEHAVIOR: "use CoCoAFusERegressor, which learns its behavior",
    NOISE: f"set noise={STUDENT_T!r}",
}

#: Priors of parameters that the ``priors`` argument does not name (standardized scale), with up to
#: ``MANY_COLUMNS``.
DEFAULT_PRIORS: dict[str, Prior] = {name: row.prior for name, row in PARAMETERS.items()}
# With 20 columns and more, test density is better for sparse slopes on nine of ten sets, by 0.04 to
# 0.52 nats a row; with 11 and 13 it is not (benchmarks/LOG.md, "Many columns").
MANY_COLUMNS = 15
_SPARSE_SCALE = 2.0  # over the number of columns; with 1, better if few count, and worse if all do
_SPARSE_DF = 3.0  # with fewer, chains of NUTS mix less well, and predictions have no variance


def _with_fields(cls: type) -> Any:
    """A named tuple with the methods of a class, and a field for each row of ``PARAMETERS``."""
    options: Any = {"defaults": [None] * len(PARAMETERS), "module": cls.__module__}
    fields = namedtuple(cls.__name__, PARAMETERS, **options)  # type: ignore[misc]
    for name, member in vars(cls).items():
        if callable(member) or name == "__doc__":
            setattr(fields, name, member)
    return fields


@_with_fields
class Parameters:
    """Named parameters, with any number of leading axes for draws.

    A field for each row of ``PARAMETERS``: a numpy array (a PyTensor variable while a PyMC model is
    built) with the draw axes and then the axes of the row, or None in a model that does not have
    it. ``sigma`` is the standard deviation including the rounding of the target, or the scale of
    Student's t; ``noise_df`` is larger than ``LEAST_DF``.
    """

    if TYPE_CHECKING:

        def __init__(self, *values: Any, **named: Any): ...

        def __getattr__(self, name: str) -> Any: ...

        def __iter__(self) -> Iterator[Any]: ...

    def map(self, function) -> "Parameters":
        """Apply ``function`` to every array that is not None."""
        return Parameters(*(None if array is None else function(array) for array in self))

    def flatten_draws(self) -> "Parameters":
        """Merge the leading axes (chains, draws) into one, chain by chain."""
        return self.map(lambda a: a.reshape(a.shape[0] * a.shape[1], *a.shape[2:]))

    def permute_experts(self, order) -> "Parameters":
        """Reorder the experts; ``order`` has the draw axes and then (M,)."""
        order = np.asarray(order)
        moved = {}
        for name, row in PARAMETERS.items():
            if row.of_experts:
                along = -len(row.axes)
                index = order[(..., *[None] * (len(row.axes) - 1))]
                moved[name] = np.take_along_axis(getattr(self, name), index, axis=along)
        return self._replace(**moved)


def parameter_names(behavior: float | None, noise: str) -> tuple[str, ...]:
    """Names of the parameters of a model, whose behavior is learned (None) or fixed."""
    missing = {
        name
        for name, row in PARAMETERS.items()
        if (row.part == BEHAVIOR and behavior is not None)
        or (row.role == DF and noise != STUDENT_T)
    }
    return tuple(name for name in PARAMETERS if name not in missing)


def line_of(part: str) -> tuple[str | None, str]:
    """Names of the intercept and the coefficients of a part's linear predictor.

    That of the noise has no intercept: it is relative to ``sigma``, the noise at average inputs.
    """
    role = {row.role: name for name, row in PARAMETERS.items() if row.part == part}
    return role.get(INTERCEPT), role[COEF]


# -- priors --------------------------------------------------------------------------------


def default_priors(n_features: Mapping[str, int]) -> dict[str, Prior]:
    """Priors of all parameters, given the number of columns of each part.

    Of many columns only some matter, or all do little. So slopes of a part with more than
    ``MANY_COLUMNS`` columns have a Student t prior, whose tails let a few be large, with a scale in
    inverse proportion to the number of columns. That the scale should depend on it is from Piironen
    and Vehtari (2017), "Sparsity information and regularization in the horseshoe and other
    shrinkage priors", Electronic Journal of Statistics 11, section 3. With three degrees of freedom
    slopes have a variance, and so have predictions.
    """
    found = dict(DEFAULT_PRIORS)
    for name, row in PARAMETERS.items():
        n_columns = n_features.get(row.part, 0)
        if row.role == COEF and n_columns > MANY_COLUMNS:
            scale = row.prior.scale * _SPARSE_SCALE / n_columns
            found[name] = Prior("student_t", scale=scale, df=_SPARSE_DF)
    return found


def complete_priors(
    priors: Mapping[str, Prior] | None,
    parameters: Collection[str] = DEFAULT_PRIORS,
    model: str = "The model",
    defaults: Mapping[str, Prior] = DEFAULT_PRIORS,
) -> dict[str, Prior]:
    """Check the user's priors and fill in the defaults.

    Parameters
    ----------
    priors : mapping of str to Prior, or None
    parameters : collection of str
        Names of the parameters that the model has; all known names by default.
    model : str
        Its name, for messages.
    defaults : mapping of str to Prior
        For the others.

    Returns
    -------
    dict of str to Prior
        One for each name in ``PARAMETERS``, in their order.

    Raises
    ------
    TypeError
        If ``priors`` is not a mapping of names to :class:`Prior`.
    ValueError
        If a name is unknown or belongs to a parameter that the model does not have, or if a family
        is not valid for its parameter.
    """
    if priors is None:
        return dict(defaults)
    if not isinstance(priors, Mapping):
        raise TypeError(
            f"priors must be a dict from parameter name to Prior, or None; got {priors!r}."
        )
    for name, prior in priors.items():
        if name not in PARAMETERS:
            raise ValueError(
                f"Unknown parameter {name!r} in priors; known names: {sorted(parameters)}."
            )
        if name not in parameters:
            raise ValueError(
                f"{model} has no parameter {name!r}, so priors cannot contain it; its parameters: "
                f"{sorted(parameters)}. Leave it out, or {_OTHERWISE[PARAMETERS[name].part]}."
            )
        if not isinstance(prior, Prior):
            raise TypeError(
                f"priors[{name!r}] must be a Prior, for example Prior('laplace', scale=0.5); "
                f"got {prior!r}."
            )
        _check_fit(name, prior)
    return {**defaults, **priors}


def _check_fit(name: str, prior: Prior) -> None:
    """Raise a ValueError if a prior is not valid for its parameter."""
    row = PARAMETERS[name]
    if prior.support != row.support:
        fitting = [f for f, known in FAMILIES.items() if known.support == row.support]
        raise ValueError(
            f"priors[{name!r}] must be of a family for {row.support} numbers, one of "
            f"{[f for f in fitting if f != 'flat' or row.may_be_flat]}; got {prior.family!r}."
        )
    if prior.family == "flat" and not row.may_be_flat:
        can = [each for each, other in PARAMETERS.items() if other.may_be_flat]
        raise ValueError(
            f"priors[{name!r}] cannot be flat: only {', '.join(can)} can, the posterior of "
            "others would be improper or unscaled. Use a wide one, Prior('laplace', scale=10.0)."
        )
    if row.constraint == CONTRAST and prior.loc != 0:
        raise ValueError(
            f"priors[{name!r}] must have loc=0, so that experts stay exchangeable; "
            f"got loc={prior.loc!r}."
        )
