"""Intervals and quantiles as pandas DataFrames with the index of the input."""

import numpy as np

OUTPUTS = ("default", "pandas")


def check_output(output) -> bool:
    """Whether pandas output is requested.

    Raises
    ------
    ValueError
        If ``output`` is neither "default" nor "pandas".
    """
    if not isinstance(output, str) or output not in OUTPUTS:
        raise ValueError(
            f"output must be 'default' for an array or 'pandas' for a DataFrame; got {output!r}."
        )
    return output == "pandas"


def interval_output(ends: np.ndarray, coverage, X, output):
    """Intervals as an array, or as a DataFrame with the index of ``X``.

    Parameters
    ----------
    ends : ndarray of shape (rows, 2) or (rows, 2, k)
    coverage : float or list of float
    X : array-like
        Input of the prediction.
    output : {"default", "pandas"}

    Returns
    -------
    ndarray or pandas.DataFrame
        Columns "lower" and "upper"; for a list of coverages, both for each of them.
    """
    if not check_output(output):
        return ends
    import pandas as pd

    sides = ["lower", "upper"]
    if ends.ndim == 2:
        return pd.DataFrame(ends, index=_index(X), columns=sides)
    coverage = np.asarray(coverage, dtype=np.float64)
    columns = pd.MultiIndex.from_product([coverage, sides], names=["coverage", "end"])
    values = ends.transpose(0, 2, 1).reshape(len(ends), -1)
    return pd.DataFrame(values, index=_index(X), columns=columns)


def posterior_output(mean: np.ndarray, ends, X, output, columns=None, axis: str = ""):
    """A posterior mean and its credible interval, as arrays or as one DataFrame.

    Parameters
    ----------
    mean : ndarray of shape (rows,) or (rows, k)
    ends : ndarray of shape (rows, 2) or (rows, k, 2), or None
    X : array-like
        Input of the prediction.
    output : {"default", "pandas"}
    columns : sequence of length k, optional
        Labels of the k columns.
    axis : str, optional
        What these are: "expert" or "feature".

    Returns
    -------
    ndarray, tuple of two ndarrays, or pandas.DataFrame
        With columns "mean" and, with an interval, "lower" and "upper", all of these for each label.
        Without an interval, the labels are the columns.
    """
    if not check_output(output):
        return mean if ends is None else (mean, ends)
    import pandas as pd

    values, names = mean[..., None], ["mean"]
    if ends is not None:
        values, names = np.concatenate([values, ends], axis=-1), ["mean", "lower", "upper"]
    if columns is None:
        own = pd.Index(names)
    elif ends is None:
        own = pd.Index(columns, name=axis)
    else:
        own = pd.MultiIndex.from_product([columns, names], names=[axis, "statistic"])
    return pd.DataFrame(values.reshape(len(mean), len(own)), index=_index(X), columns=own)


def quantile_output(values: np.ndarray, quantiles: np.ndarray, X, output):
    """Quantiles (rows, q) as an array, or as a DataFrame with a column for each."""
    if not check_output(output):
        return values
    import pandas as pd

    return pd.DataFrame(values, index=_index(X), columns=pd.Index(quantiles, name="quantile"))


def _index(X):
    """The index of a DataFrame or Series; None (a default index) for anything else."""
    import pandas as pd

    return X.index if isinstance(X, pd.DataFrame | pd.Series) else None
