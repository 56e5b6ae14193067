"""Distributions of several fits as one: whatever is asked, rows are in their order."""

import pickle

import numpy as np
import pytest
from sklearn.preprocessing import FunctionTransformer

from skcocoafuse import JoinedDistribution, PredictiveDistribution, TransformedDistribution
from tests.predictive.test_distribution import make

ORDER = np.random.default_rng(0).permutation(9)
ROWS = [ORDER[:4], ORDER[4:5], ORDER[5:]]
POINTS = np.linspace(-4.0, 9.0, 9)


@pytest.fixture(scope="module")
def whole():
    return make(n=9, n_draws=4, seed=3)[2]


def join(whole, rows=ROWS):
    """The distribution torn into parts and put together again."""
    return JoinedDistribution([(own, whole[own]) for own in rows])


ASKED = {
    "mean": (),
    "var": (),
    "std": (),
    "mean_and_std": (),
    "median": (),
    "ppf": ([0.1, 0.5],),
    "isf": (0.1,),
    "interval": ([0.5, 0.9],),
    "variance_parts": (),
    "hdi": (0.7,),
    "modes": (0.01,),
    "prob_multimodal": (),
    "logpdf": (1.0,),
    "pdf": (POINTS,),
    "cdf": (POINTS[:, None] + [0.0, 1.0, 2.0],),
    "sf": ([[0.0, 1.0]],),
    "pit": (POINTS,),
    "crps": (POINTS,),
}


@pytest.mark.parametrize("method", ASKED)
def test_parts_are_as_good_as_the_whole(method, whole):
    found = getattr(join(whole), method)(*ASKED[method])
    expected = getattr(whole, method)(*ASKED[method])
    assert type(found) is type(expected)
    if not isinstance(expected, tuple):
        found, expected = (found,), (expected,)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_rows_have_different_numbers_of_modes(whole):
    """Else padding would not be tested above."""
    n_modes = whole.modes(0.01).n_modes
    assert len({n_modes[rows].max() for rows in ROWS}) > 1


def test_behind_a_transformed_target(whole):
    exp = FunctionTransformer(np.log, np.exp)
    scaled = PredictiveDistribution(
        whole._mixtures.spec, whole._mixtures.parameters, whole._designs, 0.7, 0.1
    )
    transformed = TransformedDistribution(scaled, exp)
    joined = join(transformed)
    np.testing.assert_array_equal(joined.interval(0.9), transformed.interval(0.9))
    np.testing.assert_array_equal(joined.logpdf(2.0), transformed.logpdf(2.0))
    np.testing.assert_array_equal(joined.mean(), transformed.mean())


@pytest.mark.parametrize(
    "rows",
    [slice(2, 8, 3), slice(None, None, -1), [5, 5, 0], POINTS > 0, 7, -1, np.int64(3), []],
    ids=str,
)
def test_slices(rows, whole):
    joined = join(whole)
    part = joined[rows]
    expected = np.atleast_1d(whole.mean()[rows])
    assert len(part) == len(expected)
    np.testing.assert_array_equal(part.mean(), expected)
    np.testing.assert_array_equal(part[::-1].mean(), expected[::-1])
    if len(expected):
        points = np.arange(len(expected), dtype=float)
        np.testing.assert_array_equal(part.cdf(points), whole[rows].cdf(points))


def test_random_values_are_repeated_by_seed_and_spread_as_they_should(whole):
    joined = join(whole)
    values = joined.rvs(4000, random_state=0)
    assert values.shape == (9, 4000)
    np.testing.assert_array_equal(values, joined.rvs(4000, random_state=0))
    error = whole.std() / np.sqrt(4000)
    assert (np.abs(values.mean(axis=1) - whole.mean()) < 4.5 * error).all()
    noise = values - values.mean(axis=1, keepdims=True)
    first, second = ROWS[0][0], ROWS[2][0]  # of two fits: independent
    assert abs(np.corrcoef(noise[first], noise[second])[0, 1]) < 4.5 / np.sqrt(4000)


def test_as_an_object_of_skpro(whole):
    found = join(whole).to_skpro(columns=["y"])
    np.testing.assert_array_equal(found.quantile([0.1, 0.9]), whole.ppf([0.1, 0.9]))


def test_travels_and_says_what_it_is(whole):
    joined = join(whole)
    again = pickle.loads(pickle.dumps(joined))
    np.testing.assert_array_equal(again.mean(), whole.mean())
    assert repr(joined) == "JoinedDistribution(9 rows from 3 fits)"
    rows, dist = joined.parts[1]
    np.testing.assert_array_equal(dist.mean(), whole.mean()[rows])


def test_points_that_do_not_fit_are_named(whole):
    for points in (np.zeros(4), np.zeros((4, 9)), np.zeros((9, 1, 1))):
        with pytest.raises(
            ValueError,
            match=r"shape \(9,\), one per row, \(9, k\), k per row, or \(1, k\), the same",
        ):
            join(whole).cdf(points)


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([ORDER[:4], ORDER[5:]], "without gaps or repetition"),
        ([ORDER[:5], ORDER[4:]], "without gaps or repetition"),
    ],
)
def test_rows_that_do_not_fit_together_are_refused(rows, match, whole):
    with pytest.raises(ValueError, match=match):
        join(whole, rows)
    with pytest.raises(ValueError, match="a row for each of its distributions"):
        JoinedDistribution([(ORDER, whole[:4])])
