"""The three regressors of this package, and the recipe that sets them up from training rows."""

import time

import pandas as pd

from benchmarks.table.predictions import Prediction

REGRESSORS = {"cocoafuse": "CoCoAFusERegressor", "moe": "MoERegressor", "boe": "BoERegressor"}
CRPS_DRAWS = 1000
FEW_EXPERTS = 2  # of fits that only load compiled code


def regressor_class(regressor: str):
    """The class of a regressor, by its short name."""
    import skcocoafuse

    return getattr(skcocoafuse, REGRESSORS[regressor])


def recommended(regressor: str, inference: str, seed: int):
    """``recommended_regressor`` of a regressor, without the parameters that it does not have."""
    from skcocoafuse import recommended_regressor

    model = recommended_regressor(inference=inference, random_state=seed)
    own = regressor_class(regressor)()
    names = set(own.get_params())

    def known(settings: dict) -> dict:
        return {name: value for name, value in settings.items() if name in names}

    estimator = own.set_params(**known(model.estimator.get_params()))
    return model.set_params(estimator=estimator, alternatives=known(model.alternatives))


def choose(regressor: str, X: pd.DataFrame, y: pd.Series, seed: int) -> dict:
    """The settings that ``recommended_regressor`` chooses on training rows.

    Mixture and Blend are set up in the same way. The final fit is by "vi" here, so that one choice
    serves all engines.

    Parameters
    ----------
    regressor : str
        A key of ``REGRESSORS``.
    X : DataFrame of shape (n_samples, n_features)
    y : Series of shape (n_samples,)
    seed : int

    Returns
    -------
    dict
        ``params``, as in ``set_params``, ``n_rows``, ``choose_seconds``, ``choose_cpu_seconds``
        and ``candidates``, all that were compared.
    """
    begun, cpu = time.perf_counter(), time.process_time()
    found = recommended(regressor, "vi", seed).fit(X, y).selection_
    return {
        "params": found.params,
        "n_rows": len(found.selected.pointwise),
        "choose_seconds": time.perf_counter() - begun,
        "choose_cpu_seconds": time.process_time() - cpu,
        "candidates": _compared(found),
    }


def load_compiled_code(regressor: str, X, y) -> None:
    """Fit and predict in the ways that :func:`choose` does, before the clock starts."""
    tried = recommended(regressor, "vi", 0).alternatives.items()
    for other in ({}, *({name: value} for name, values in tried for value in values)):
        params = {"n_experts": FEW_EXPERTS, **other}
        predict = fit(regressor, "vi", X, y, 0, {"params": params})
        predict(X).distribution.logpdf(y)


def _compared(found) -> list[dict]:
    """Elpd of every candidate, and its difference from the selected one with the paired error."""
    candidates = [({"n_experts": m}, candidate) for m, candidate in found.candidates.items()]
    candidates += [({each.name: each.value}, each.candidate) for each in found.alternatives]
    rows = []
    for params, candidate in candidates:
        behind = candidate.elpd_difference(found.selected)
        rows.append(
            {
                "params": params,
                "elpd": candidate.elpd.elpd,
                "elpd_diff": behind.elpd,
                "diff_se": behind.se,
                "dropped": candidate.dropped,
                "seconds": candidate.seconds,
            }
        )
    return rows


def fit(regressor: str, inference: str, X, y, seed: int, choice: dict):
    """Fit with the parameters that were chosen; returns a function that predicts."""
    from skcocoafuse import predict_dist

    unfitted = recommended(regressor, inference, seed).estimator
    model = unfitted.set_params(**choice["params"]).fit(X, y)

    def predict(X_test) -> Prediction:
        dist = predict_dist(model, X_test)
        return Prediction(dist.mean(), dist.interval(), _Thinned(dist))

    return predict


class _Thinned:
    """A distribution whose CRPS uses fewer draws, which takes seconds per hundred rows."""

    def __init__(self, dist):
        self._dist = dist
        self.logpdf = dist.logpdf

    def crps(self, y):
        n_draws = min(CRPS_DRAWS, self._dist.n_draws)
        return self._dist.thinned(n_draws, random_state=0).crps(y)
