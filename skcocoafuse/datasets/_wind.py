"""The La Haute Borne wind turbine data set."""

import csv
import gzip
from importlib import resources

import numpy as np
from sklearn.utils import Bunch

_FILE = "wind_power.csv.gz"


def load_wind_power(*, return_X_y=False, as_frame=False):
    """Load a month of wind turbine data: power given wind speed and ambient temperature.

    Ten-minute averages of turbine R80711 (Senvion MM82, rated 2050 kW) of the La Haute
    Borne wind farm in July 2015. The power curve bends smoothly at low wind speeds, and some
    rows have almost no power in good wind, because the turbine stood still.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Data as a pandas DataFrame and target as a Series.

    Returns
    -------
    sklearn.utils.Bunch or tuple
        With ``data`` (4464, 2): wind speed in m/s, ambient temperature in degrees
        Celsius; ``target`` (4464,): active power in kW; ``feature_names``,
        ``target_name``, and ``DESCR`` with the source and its license (Etalab Open
        Licence 2.0; attribution: ENGIE, La Haute Borne open data).

    Examples
    --------
    >>> from skcocoafuse.datasets import load_wind_power
    >>> X, y = load_wind_power(return_X_y=True)
    >>> X.shape, y.shape
    ((4464, 2), (4464,))
    """
    folder = resources.files("skcocoafuse.datasets")
    with (folder / _FILE).open("rb") as file, gzip.open(file, "rt", encoding="ascii") as stream:
        header, *rows = csv.reader(stream)
    table = np.array(rows, dtype=np.float64)
    data, target = table[:, :-1], table[:, -1]
    if as_frame:
        import pandas as pd

        data = pd.DataFrame(data, columns=header[:-1])
        target = pd.Series(target, name=header[-1])
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        feature_names=header[:-1],
        target_name=header[-1],
        DESCR=(folder / "wind_power.LICENSE.txt").read_text(encoding="utf-8"),
    )
