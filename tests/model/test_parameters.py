"""The table of parameters, and what derives from it."""

import numpy as np
import pytest

from skcocoafuse.model.parameters import (
    CONTRAST,
    DEFAULT_PRIORS,
    INTERCEPT,
    NOISES,
    PARAMETERS,
    PARTS,
    SD,
    Parameters,
    line_of,
    parameter_names,
)
from skcocoafuse.model.spec import ModelSpec

SIZES = {"expert": 2, "noise": 3, "gate": 4, "behavior": 1}


def test_rows_are_the_fields_in_their_order():
    assert tuple(PARAMETERS) == Parameters._fields == tuple(DEFAULT_PRIORS)
    for name, row in PARAMETERS.items():
        assert row.part in PARTS
        assert DEFAULT_PRIORS[name].support == row.support
        assert (row.constraint != CONTRAST) or row.axes[0] == "expert"


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("behavior", [None, 0.0, 1.0])
def test_the_vector_has_the_parameters_one_after_another(behavior, noise):
    spec = ModelSpec(3, SIZES, behavior=behavior, noise=noise)
    names = parameter_names(behavior, noise)
    assert [block.name for block in spec.blocks] == list(names)
    values = spec.unpack(np.arange(2.0 * spec.n_parameters).reshape(2, -1) / 10)
    for name, value in values._asdict().items():
        if name in names:
            assert value.shape == (2, *(spec.sizes[axis] for axis in PARAMETERS[name].axes))
        else:
            assert value is None


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("behavior", [None, 0.0, 1.0])
@pytest.mark.parametrize("n_rows", [0, 1, 17, 50.5, 1000])
def test_the_most_experts_are_found_by_counting(behavior, noise, n_rows):
    def fits(m):
        return ModelSpec(m, SIZES, behavior=behavior, noise=noise).n_parameters <= n_rows

    most = max((m for m in range(1, 200) if fits(m)), default=1)
    assert ModelSpec(5, SIZES, behavior=behavior, noise=noise).most_experts(n_rows) == most


def test_every_part_has_a_line():
    for part in PARTS:
        intercept, coef = line_of(part)
        base = PARAMETERS[intercept or "sigma"]  # the noise is relative to that at average inputs
        assert base.role == (INTERCEPT if intercept else SD)
        assert PARAMETERS[coef].axes == (*base.axes, f"{part}_feature")
    assert [name for name, row in PARAMETERS.items() if row.role == SD] == ["sigma"]


def test_experts_are_reordered_wherever_they_are_an_axis():
    spec = ModelSpec(3, SIZES)
    rng = np.random.default_rng(0)
    before = spec.unpack(rng.normal(size=(5, spec.n_parameters)))
    order = np.array([rng.permutation(3) for _ in range(5)])
    after = before.permute_experts(order)
    for name, row in PARAMETERS.items():
        old, new = getattr(before, name), getattr(after, name)
        if row.of_experts:
            old = np.stack([a[k] for a, k in zip(old, order, strict=True)])
        np.testing.assert_array_equal(new, old)
