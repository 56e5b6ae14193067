import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, SplineTransformer

from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.model import forward
from skcocoafuse.model.design import DesignPart, Scale, Units
from skcocoafuse.model.inputs import Inputs
from skcocoafuse.model.mixtures import mixture_of
from tests.conftest import fit_quietly
from tests.problems import BEHAVIORS, make_problem

X = np.random.default_rng(0).normal(3.0, [1.0, 2.0, 5.0], size=(40, 3))
NAMES = np.array(["wind", "temp", "dir"], dtype=object)
ONES = np.ones(40)


def fit(selection, names=NAMES, weight=ONES, standardize=True):
    part, design = DesignPart.fit_transform(
        selection, Inputs(X, names), weight, standardize, "gate_features"
    )
    np.testing.assert_array_equal(design, part.transform(Inputs(X, names), "gate_features"))
    return part


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (None, ["wind", "temp", "dir"]),
        (["dir", "wind"], ["dir", "wind"]),
        ([-1], ["dir"]),
        ([], []),
    ],
)
def test_columns_are_chosen_and_standardised(selection, names):
    part = fit(selection)
    assert part.names == names
    Z = part.transform(Inputs(X, NAMES), "gate_features")
    assert Z.shape == (40, len(names))
    np.testing.assert_allclose(Z.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(Z.std(0), 1, atol=1e-12)


def test_weights_equal_repetitions():
    weight = np.random.default_rng(1).integers(0, 4, 40)
    one = Scale.fit(X, weight.astype(float), True)
    other = Scale.fit(X.repeat(weight, axis=0), np.ones(weight.sum()), True)
    np.testing.assert_allclose(one.loc, other.loc)
    np.testing.assert_allclose(one.scale, other.scale)


def test_constant_columns_become_zero():
    for value in (0.0, 0.1, 1e9):
        scale = Scale.fit(np.full((7, 1), value), np.ones(7), True)
        np.testing.assert_allclose(scale.apply(np.full((7, 1), value)), 0.0, atol=1e-6)
        assert scale.scale[0] == 1.0


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e-20, 1e20, 1e200, 1e300])
def test_scales_are_those_of_the_values_however_large_these_are(size):
    """Squares of very large and of very small numbers are none."""
    one, other = Scale.fit(X, ONES, True), Scale.fit(size * X, ONES, True)
    np.testing.assert_allclose(other.loc / size, one.loc)
    np.testing.assert_allclose(other.scale / size, one.scale)
    np.testing.assert_allclose(one.scale, X.std(axis=0), rtol=1e-14)


def test_original_units_undo_the_standardisation():
    part = fit(None)
    b, w = np.array([0.3, -1.0]), np.random.default_rng(0).normal(size=(2, 3))
    original_b, original_w = part.scale.undo_line(b, w)
    standard = part.transform(Inputs(X, NAMES), "gate_features") @ w.T + b
    np.testing.assert_allclose(X @ original_w.T + original_b, standard)


def random_units(problem, seed):
    """Units of data that have nothing to do with the problem's own."""
    rng = np.random.default_rng(seed)
    scales = {
        part: Scale(rng.normal(size=X.shape[1]), rng.lognormal(size=X.shape[1]))
        for part, X in problem.designs.items()
    }
    return Units(**scales, target=Scale(rng.normal(), rng.lognormal()))


@pytest.mark.parametrize("behavior", BEHAVIORS.values(), ids=BEHAVIORS)
def test_parameters_seen_from_other_units_are_the_same_model(behavior):
    """One density of the target in its own units, whatever the data were standardised by."""
    problem = make_problem(3, behavior=behavior)
    spec, raw, y = problem.spec, problem.designs, problem.y
    old, new = random_units(problem, 1), random_units(problem, 2)
    draws = spec.unpack(np.random.default_rng(3).normal(size=(2, 5, spec.n_parameters)))
    seen = spec.unpack(spec.pack(old.seen_from(new).undo(draws)))

    def density(units, parameters):
        designs = {part: getattr(units, part).apply(X) for part, X in raw.items()}
        mixture = mixture_of(spec, parameters, designs)
        standardised = forward.log_density(forward.NUMPY, mixture, units.target.apply(y))
        return standardised - np.log(units.target.scale)

    np.testing.assert_allclose(density(new, seen), density(old, draws), rtol=1e-9, atol=1e-9)
    for there, back in zip(draws, new.seen_from(old).undo(seen), strict=True):
        if there is not None:
            np.testing.assert_allclose(back, there, rtol=1e-9, atol=1e-9)


def test_transformers_are_cloned_named_and_fitted_on_frames():
    spline = SplineTransformer(n_knots=4, degree=3)
    part = fit(spline)
    assert not hasattr(spline, "bsplines_")
    assert len(part.names) == 18
    assert part.names[0].startswith("wind")
    chooser = FunctionTransformer(lambda frame: frame[["temp"]])
    assert fit(chooser).transform(Inputs(X, NAMES), "gate_features").shape == (40, 1)
    assert isinstance(fit(chooser).names[0], str)
    sparse = SplineTransformer(n_knots=4, sparse_output=True)
    np.testing.assert_allclose(
        fit(sparse).transform(Inputs(X, NAMES), "g"), fit(spline).transform(Inputs(X, NAMES), "g")
    )


@pytest.mark.parametrize(
    ("selection", "names", "error", "message"),
    [
        (["speed"], NAMES, ValueError, "'speed'.*not a column of X.*wind"),
        (["wind"], None, ValueError, "no column names; use indices"),
        ([3], NAMES, ValueError, "column 3.*3 columns"),
        (["wind", 0], NAMES, ValueError, "twice"),
        ("wind", NAMES, TypeError, "list of column names"),
        (4, NAMES, TypeError, "list of column names"),
        ([1.5], NAMES, TypeError, "names or indices"),
        ([True], NAMES, TypeError, "names or indices"),
        (FunctionTransformer(lambda Z: np.ones(3)), None, ValueError, "matrix with a row per"),
        (
            FunctionTransformer(lambda Z: np.asarray(Z) * np.nan),
            None,
            ValueError,
            "NaN or infinity",
        ),
    ],
)
def test_errors_teach(selection, names, error, message):
    with pytest.raises(error, match=message):
        fit(selection, names)


def test_frames_reach_the_transformer_at_predict():
    seen = []
    spy = FunctionTransformer(lambda Z: (seen.append(type(Z)), np.asarray(Z))[1])
    fit(spy).transform(Inputs(X, NAMES), "gate_features")
    assert set(seen) == {pd.DataFrame}


def test_parts_with_the_same_columns_share_one_matrix():
    """But none that a transformer computes; those of rows to predict as well."""
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = X[:, 0] + 0.1 * X[:, 1]
    model = CoCoAFusERegressor(
        noise_features=[2], behavior_features=[0, 1, 2], inference="map", random_state=0
    )
    posed = fit_quietly(model, X, y).fitted_.posed
    for designs in (posed.problem.designs, posed.matrices(Inputs(X[:5]))):
        assert designs["gate"] is designs["expert"]
        assert designs["behavior"] is designs["expert"]
        assert designs["noise"] is not designs["expert"]
    powers = PolynomialFeatures(1, include_bias=False)
    model.set_params(expert_features=powers, gate_features=powers)
    designs = fit_quietly(model, X, y).fitted_.problem.designs
    assert designs["gate"] is not designs["expert"]
    np.testing.assert_array_equal(designs["gate"], designs["behavior"])
