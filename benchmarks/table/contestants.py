"""The contestants: one row each."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from benchmarks.table import ours, peers


class Contestant(NamedTuple):
    """One method.

    Parameters
    ----------
    fit : callable
        ``fit(X, y, seed)`` returns ``predict``, and ``predict(X_test)`` a
        :class:`~benchmarks.table.predictions.Prediction`. With ``regressor``, ``fit`` also takes
        ``choice``, what :func:`benchmarks.table.ours.choose` returned.
    package : str
        Its distribution on PyPI, whose version is recorded.
    modules : tuple of str
        Imported before the clock starts.
    max_rows : int, optional
        Sets with more training rows are left out.
    sets : tuple of str, optional
        The only sets; all by default.
    regressor : str, optional
        Of this package: a key of :data:`benchmarks.table.ours.REGRESSORS`.
    """

    fit: Callable
    package: str
    modules: tuple[str, ...]
    max_rows: int | None = None
    sets: tuple[str, ...] | None = None
    regressor: str | None = None


def _ours(regressor: str, inference: str) -> Contestant:
    fit = partial(ours.fit, regressor, inference)
    return Contestant(fit, "skcocoafuse", ("skcocoafuse",), regressor=regressor)


GAUSSIAN_PROCESS = ("sklearn.gaussian_process",)
BOOSTING = ("sklearn.ensemble", "mapie.regression")
CONTESTANTS = {
    "bayesian-ridge": Contestant(peers.bayesian_ridge, "scikit-learn", ("sklearn.linear_model",)),
    "ngboost": Contestant(peers.ngboost, "ngboost", ("ngboost",)),
    "gaussian-process": Contestant(
        peers.gaussian_process, "scikit-learn", GAUSSIAN_PROCESS, max_rows=2000
    ),
    "quantile-forest": Contestant(peers.quantile_forest, "quantile-forest", ("quantile_forest",)),
    "mapie": Contestant(peers.mapie, "mapie", BOOSTING),
    "lightgbmlss": Contestant(peers.lightgbmlss, "lightgbmlss", ("lightgbmlss.model",)),
    "cgmm": Contestant(peers.cgmm, "cgmm", ("cgmm",)),
    "bambi": Contestant(peers.bambi, "bambi", ("bambi",), sets=("engel",)),
    **{f"{name}-vi": _ours(name, "vi") for name in ours.REGRESSORS},
    "cocoafuse-short_chains": _ours("cocoafuse", "short_chains"),
    **{f"{name}-nuts": _ours(name, "nuts") for name in ours.REGRESSORS},
}
OURS = tuple(name for name, row in CONTESTANTS.items() if row.regressor)
PEERS = tuple(name for name in CONTESTANTS if name not in OURS)
