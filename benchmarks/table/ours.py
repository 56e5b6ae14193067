"""The three regressors of this package, and the recipe that sets them up from training rows."""

import time

import pandas as pd

from benchmarks.table.predictions import Prediction

REGRESSORS = {"cocoafuse": "CoCoAFusERegressor", "moe": "MoERegressor", "boe": "BoERegressor"}
NUMBERS = (1, 2, 3, 5, 8)
NOISE = {"constant": (), "inputs": None}  # values of noise_features
MAX_ROWS = 2000  # of the training rows, to choose from
CRPS_DRAWS = 1000
FEW_EXPERTS = 2  # of fits that only load compiled code


def regressor_class(regressor: str):
    """The class of a regressor, by its short name."""
    import skcocoafuse

    return getattr(skcocoafuse, REGRESSORS[regressor])


def choose(regressor: str, X: pd.DataFrame, y: pd.Series, seed: int) -> dict:
    """Number of experts and noise, chosen on training rows.

    The recipe of the user guide: ``select_n_experts`` by its defaults, with "vi", among
    ``NUMBERS``; once with constant noise and once with noise that depends on all inputs, on the
    same folds. Of these two, the one with the higher elpd. At most ``MAX_ROWS`` training rows
    are used; rows come in random order.

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
        ``n_experts``, ``noise`` (a key of ``NOISE``), ``n_rows``, ``choose_seconds``,
        ``choose_cpu_seconds`` and ``candidates``, all that were compared.
    """
    from skcocoafuse import select_n_experts

    X, y = X[:MAX_ROWS], y[:MAX_ROWS]
    begun, cpu = time.perf_counter(), time.process_time()
    found = {}
    for noise, features in NOISE.items():
        model = regressor_class(regressor)(
            inference="vi", noise_features=features, random_state=seed
        )
        found[noise] = select_n_experts(model, X, y, n_experts=NUMBERS)
    best = max(found, key=lambda noise: _chosen(found[noise]).elpd.elpd)
    return {
        "n_experts": found[best].n_experts,
        "noise": best,
        "n_rows": len(X),
        "choose_seconds": time.perf_counter() - begun,
        "choose_cpu_seconds": time.process_time() - cpu,
        "candidates": _compared(found, _chosen(found[best])),
    }


def load_compiled_code(regressor: str, X, y) -> None:
    """Fit and predict in the ways that :func:`choose` does, before the clock starts."""
    for noise in NOISE:
        predict = fit(regressor, "vi", X, y, 0, {"n_experts": FEW_EXPERTS, "noise": noise})
        predict(X).distribution.logpdf(y)


def _chosen(selection):
    return selection.candidates[selection.n_experts]


def _compared(found: dict, chosen) -> list[dict]:
    """Elpd of every candidate, and its difference from the chosen one with the paired error."""
    rows = []
    for noise, selection in found.items():
        for n_experts, candidate in selection.candidates.items():
            less = candidate.elpd_difference(chosen)
            rows.append(
                {
                    "noise": noise,
                    "n_experts": n_experts,
                    "elpd": candidate.elpd.elpd,
                    "elpd_diff": less.elpd,
                    "diff_se": less.se,
                    "seconds": candidate.seconds,
                }
            )
    return rows


def fit(regressor: str, inference: str, X, y, seed: int, choice: dict):
    """Fit by the defaults with what was chosen; returns a function that predicts."""
    from skcocoafuse import predict_dist

    model = regressor_class(regressor)(
        choice["n_experts"],
        inference=inference,
        noise_features=NOISE[choice["noise"]],
        random_state=seed,
    )
    model.fit(X, y)

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
