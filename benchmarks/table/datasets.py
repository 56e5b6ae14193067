"""The data sets by name: from a folder of files, or from OpenML.

``SETS`` is in order of the number of rows, smallest first. The target is the last column of a file.
"""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

MAX_SPLITS = 20


class DataSet(NamedTuple):
    """Where a set is.

    Parameters
    ----------
    file : str
        In the data folder.
    openml : str, optional
        Its name on OpenML; None if it is not there.
    drop : tuple of str
        Columns that are not inputs.
    max_splits : int
    """

    file: str
    openml: str | None = None
    drop: tuple[str, ...] = ()
    max_splits: int = MAX_SPLITS


SETS = {
    "mcycle": DataSet("mcycle.csv"),
    "tonedata": DataSet("tonedata.csv"),
    "engel": DataSet("engel.csv"),
    "faithful": DataSet("faithful.csv"),
    "diabetes": DataSet("diabetes.csv"),
    "boston": DataSet("boston.csv", "boston"),
    "energy": DataSet("energy_heating.csv", "energy_efficiency"),
    "concrete": DataSet("concrete.csv", "concrete_compressive_strength"),
    "wine": DataSet("wine_red.csv", "red_wine"),
    # the pitch angle gives away that the turbine is off
    "wind": DataSet("wind_lhb_small.csv", drop=("time", "pitch_deg")),
    "kin8nm": DataSet("kin8nm.csv", "kin8nm"),
    "protein": DataSet("protein.csv.gz", "physiochemical_protein", max_splits=5),
}


def load(name: str, folder: Path | None) -> tuple[pd.DataFrame, pd.Series]:
    """Inputs and target of a set.

    Parameters
    ----------
    name : str
        A key of ``SETS``.
    folder : Path or None
        Where the files are; None for OpenML.

    Returns
    -------
    X : DataFrame of shape (n_samples, n_features)
    y : Series of shape (n_samples,)

    Raises
    ------
    ValueError
        Without a folder, for a set that is not on OpenML.
    """
    data = SETS[name]
    if folder is None:
        return _from_openml(name, data)
    table = pd.read_csv(folder / data.file).drop(columns=list(data.drop)).astype("float64")
    return table.iloc[:, :-1], table.iloc[:, -1]


def _from_openml(name: str, data: DataSet) -> tuple[pd.DataFrame, pd.Series]:
    from sklearn.datasets import fetch_openml

    if data.openml is None:
        raise ValueError(f"{name} is not on OpenML: name a folder that holds {data.file}.")
    found = fetch_openml(data.openml, version=1, as_frame=True)
    return found.data.astype("float64"), found.target.astype("float64")
