"""The only file that knows ArviZ, and which of its lines (0.x or 1.x) is installed."""

from contextlib import contextmanager

import numpy as np

from skcocoafuse._monte_carlo import of_each


def ess(draws: np.ndarray) -> np.ndarray:
    """Bulk effective sample size; shapes and NaN as in :func:`skcocoafuse._monte_carlo.rhat`."""
    return of_each(draws, _ess)


def _ess(draws: np.ndarray) -> np.ndarray:
    import arviz
    import xarray

    if len(draws) == 1:  # a chain alone is compared with itself: its halves
        half = draws.shape[1] // 2
        draws = draws[0, : 2 * half].reshape(2, half, -1)
    dataset = xarray.Dataset({"q": (("chain", "draw", "quantity"), draws)})
    with _without_compilation(arviz):
        return arviz.ess(dataset)["q"].values


@contextmanager
def _without_compilation(arviz):
    """Keep ArviZ 0.23 from compiling its variance by numba, half a second in every process."""
    switch = getattr(arviz, "Numba", None)
    if switch is None or not switch.numba_flag:
        yield
        return
    switch.disable_numba()
    try:
        yield
    finally:
        switch.enable_numba()


def inference_data(groups: dict, attrs: dict):
    """Groups (``xarray.Dataset`` by name) as ArviZ 0.x or 1.x wants them.

    Returns
    -------
    arviz.InferenceData or xarray.DataTree
    """
    import arviz
    import xarray

    if "InferenceData" in vars(arviz):
        return arviz.InferenceData(attrs=attrs, **groups)
    tree = xarray.DataTree.from_dict(groups)
    tree.attrs.update(attrs)
    return tree
