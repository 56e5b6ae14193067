import numpy as np
import pandas as pd
import pytest

from skcocoafuse.model.inputs import Inputs
from skcocoafuse.model.recorded import RecordedInputs

X = np.random.default_rng(0).normal(size=(20, 3))


def test_arrays_of_numbers_are_copied_to_be_kept_only():
    inputs = Inputs(X)
    assert np.shares_memory(inputs.numbers(np.arange(3), "gate_features"), X)
    assert inputs.table is X
    assert not np.shares_memory(RecordedInputs.of(inputs).values, X)
    assert np.shares_memory(inputs.rows(slice(2, 5)).values, X)
    np.testing.assert_array_equal(inputs.numbers(np.array([2, 0]), "g"), X[:, [2, 0]])
    assert inputs.numbers(np.array([], dtype=int), "g").shape == (20, 0)


COLUMNS = {
    "floats": pd.Series([1.5, np.nan, np.inf]),
    "ints": pd.Series([1, 2, 2], dtype="int8"),
    "unsigned": pd.Series([1, 2, 2**64 - 1], dtype="uint64"),
    "large": pd.Series([2**60, 2**60 + 1, 0]),
    "bools": pd.Series([True, False, True]),
    "nullable": pd.Series([1, None, 3], dtype="Int32"),
    "nullable bools": pd.Series([True, None, False], dtype="boolean"),
    "text": pd.Series(["a", None, "größe"], dtype="str"),
    "objects": pd.Series(["a", None, np.nan], dtype=object),
    "numbers and text": pd.Series([1, 1.0, "1"], dtype=object),
    "truth": pd.Series([True, 1, 1.0], dtype=object),
    "nothing": pd.Series([None, None, None], dtype=object),
    "categories": pd.Series(pd.Categorical(["b", None, "a"], categories=["c", "b", "a"])),
    "levels": pd.Series(pd.Categorical([3, 1, 3], ordered=True)),
    "dates": pd.Series(
        pd.to_datetime(["2020-01-01 00:00:00.0", None, "2021-05-06 07:08:09.123456"])
    ),
    "zoned": pd.Series(pd.to_datetime(["2020-01-01"] * 3)).dt.tz_localize("Europe/Rome"),
    "durations": pd.Series(pd.to_timedelta([1, 2, None], unit="h")),
}


def test_numbers_of_arrow_come_back():
    pytest.importorskip("pyarrow")
    check_that_it_comes_back("n", pd.Series([1, None, 3], dtype="int64[pyarrow]"))


@pytest.mark.parametrize("name", COLUMNS)
def test_what_is_recorded_comes_back(name):
    check_that_it_comes_back(name, COLUMNS[name])


def check_that_it_comes_back(name, column):
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], name: column})
    names = frame.columns.to_numpy()
    recorded = RecordedInputs.of(Inputs(frame, names))
    read = RecordedInputs.read(recorded.values, recorded.kinds, recorded.levels)
    back = read.table(names)
    pd.testing.assert_frame_equal(back, frame)
    if frame[name].dtype == object:
        assert [type(v) for v in back[name]] == [type(v) for v in frame[name]]
    if Inputs(frame, names).numeric_columns()[1]:
        expected = frame[name].astype("float64" if frame[name].dtype == object else "Float64")
        expected = expected.to_numpy(dtype=np.float64, na_value=np.nan)
        np.testing.assert_array_equal(read.column(1), expected)
    assert not read.not_recorded(names)


@pytest.mark.parametrize(
    "column",
    [
        [[1], [2], [3]],
        pd.period_range("2020", periods=3, freq="D"),
        pd.cut([1.0, 2.0, 3.0], 2),
        np.array([1j, 2, 3]),
        [object(), "a", 1],
    ],
)
def test_what_has_no_place_is_named(column):
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "odd": column})
    recorded = RecordedInputs.of(Inputs(frame, frame.columns.to_numpy()))
    assert recorded.not_recorded(frame.columns) == ["odd"]
    assert recorded.table(frame.columns)["x"].tolist() == [1.0, 2.0, 3.0]
    assert not Inputs(frame, frame.columns).numeric_columns()[1]


VALUES = np.array([[0.0, 1.0], [1.0, np.nan]])


@pytest.mark.parametrize(
    ("kinds", "levels", "message"),
    [
        (["str"], [["a", "b"]], "kinds .* entry per column"),
        (["str", "float64"], None, "levels .* entry per column"),
        (["str", "no such kind"], [["a", "b"], None], "known kind; got 'no such kind'"),
        (["str", 5], [["a", "b"], None], "known kind; got 5"),
        (["str", "float64"], [["a"], None], "codes of levels"),
        (["str", "float64"], [["a", []], None], "codes of levels"),
        (["str", "float64"], ["ab", None], "codes of levels"),
    ],
)
def test_a_file_that_does_not_fit_together(kinds, levels, message):
    with pytest.raises(ValueError, match=message):
        RecordedInputs.read(VALUES, kinds, levels)
    with pytest.raises(ValueError, match="codes of levels"):
        RecordedInputs.read(0.5 + VALUES, ["str", "str"], [["a", "b", "c"]] * 2)
