"""Rows that do not fit one process: Parquet datasets, and Dask collections on a cluster.

``table_of`` recognizes them; the tables have the passes over parts that
:mod:`skcocoafuse.model.standardizing` needs, and make the rows that inference adds up.
"""

import os
from contextlib import contextmanager
from functools import wraps
from importlib import import_module

from sklearn.utils.validation import check_is_fitted

from skcocoafuse._validation import is_dask
from skcocoafuse.inference import ENGINES


@contextmanager
def table_of(X, y, sample_weight, features, inference):
    """The table of rows elsewhere, released at the end; None for rows in memory.

    Parameters
    ----------
    X : array-like, Dask collection, path of a Parquet dataset, or pyarrow.dataset.Dataset
    y, sample_weight
        As ``fit`` takes them: for Parquet, names of columns.
    features : dict of str to (None, list or transformer)
        What selects the inputs of each part of the model.
    inference : str
        Name of the engine.

    Raises
    ------
    ImportError
        If the package that reads them is not installed.
    ValueError, TypeError
        If columns do not exist or do not fit together, or the engine needs too many passes.
    """
    if isinstance(X, str | os.PathLike) or type(X).__module__ == "pyarrow._dataset":
        _refuse_many_passes(inference)
        parquet = _module("parquet", "pyarrow", "parquet")
        yield parquet.ParquetTable.of(X, y, sample_weight, features.values())
        return
    if not any(map(is_dask, (X, y, sample_weight))):
        yield None
        return
    _refuse_many_passes(inference)
    table = _module("cluster", "dask", "dask").table_of(X, y, sample_weight)
    try:
        yield table
    finally:
        table.release()


def predict_to_parquet(estimator, dataset, path, *, coverage=0.95, keep=(), batch_rows=65_536):
    """Predict the rows of a Parquet dataset and write a Parquet file, batch by batch.

    Memory does not grow with the number of rows. The file appears only when it is complete.

    Parameters
    ----------
    estimator : estimator
        Fitted to columns with names; a regressor of this package, or a meta-estimator that
        contains one.
    dataset : str, path or pyarrow.dataset.Dataset
        With the columns that the estimator was fitted to.
    path : str or path
        The file to write; replaced if it exists.
    coverage : float or None, default=0.95
        Of the central intervals; None for none.
    keep : list of str, default=()
        Columns of the dataset to copy, such as an identifier.
    batch_rows : int, default=65536
        Largest number of rows in memory.

    Returns
    -------
    int
        Number of rows written: columns of ``keep``, then ``mean``, ``std`` and, with
        ``coverage``, ``lower`` and ``upper``, in the order of the dataset.

    Raises
    ------
    ImportError
        Without pyarrow, which the extra ``parquet`` installs.
    ValueError
        If a column is missing, or the estimator was fitted without names of columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from skcocoafuse import MoERegressor, predict_to_parquet
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(100, random_state=0)
    >>> table = pd.DataFrame({"speed": X[:, 0], "power": y})
    >>> folder = getfixture("tmp_path")
    >>> table.to_parquet(folder / "rows.parquet")
    >>> model = MoERegressor(inference="vi", random_state=0)
    >>> model = model.fit(folder / "rows.parquet", "power")
    >>> rows, target = folder / "rows.parquet", folder / "predicted.parquet"
    >>> predict_to_parquet(model, rows, target, keep=["power"])
    100
    >>> pd.read_parquet(target).columns.tolist()
    ['power', 'mean', 'std', 'lower', 'upper']
    """
    module = _module("parquet_predictions", "pyarrow", "parquet")
    return module.predict_to_parquet(estimator, dataset, path, coverage, list(keep), batch_rows)


def on_partitions(method):
    """A method of rows that for a Dask collection is lazy, partition by partition."""

    @wraps(method)
    def of_rows(self, *arguments, **options):
        X = arguments[0] if arguments else options.get("X")
        if not is_dask(X):
            return method(self, *arguments, **options)
        check_is_fitted(self)
        options.pop("X", None)
        lazy = _module("lazy", "dask", "dask")
        return lazy.by_partition(method, self, X, arguments[1:], options)

    return of_rows


def _refuse_many_passes(inference: str) -> None:
    few = [name for name, engine in ENGINES.items() if engine.few_passes]
    if inference not in few:
        raise ValueError(
            f"inference={inference!r} passes over all rows many thousands of times, or needs them "
            "in memory; for rows on disk or on a cluster use inference='vi', which passes a few "
            f"hundred times (or another one of {few}), or fit a random part of the rows that fits "
            "in memory."
        )


def _module(name: str, package: str, extra: str):
    try:
        return import_module(f"skcocoafuse.streams.{name}")
    except ImportError as error:
        raise ImportError(
            f"These rows need {package}, which the extra '{extra}' installs: "
            f"pip install 'skcocoafuse[{extra}]'."
        ) from error
