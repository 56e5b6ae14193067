"""The three regressors of this package, and the recipe that sets them up from training rows."""

import time

import pandas as pd

from benchmarks.table.predictions import Prediction

REGRESSORS = {"cocoafuse": "CoCoAFusERegressor", "moe": "MoERegressor", "boe": "BoERegressor"}
NUMBERS = (1, 2, 3, 5, 8)
TAILS = "student_t"  # the alternative to Normal noise
MAX_ROWS = 2000  # of the training rows, to choose from
CRPS_DRAWS = 1000
FEW_EXPERTS = 2  # of fits that only load compiled code


def regressor_class(regressor: str):
    """The class of a regressor, by its short name."""
    import skcocoafuse

    return getattr(skcocoafuse, REGRESSORS[regressor])


def choose(regressor: str, X: pd.DataFrame, y: pd.Series, seed: int) -> dict:
    """Number of experts and tails of the noise, chosen on training rows.

    The recipe of the user guide: noise depends on all inputs, and ``select_n_experts`` selects by
    its defaults, with "vi", among ``NUMBERS``, then between Normal noise and Student's t. At most
    ``MAX_ROWS`` training rows are used; rows come in random order.

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
        ``n_experts``, ``noise``, ``n_rows``, ``choose_seconds``, ``choose_cpu_seconds`` and
        ``candidates``, all that were compared.
    """
    from skcocoafuse import select_n_experts

    X, y = X[:MAX_ROWS], y[:MAX_ROWS]
    begun, cpu = time.perf_counter(), time.process_time()
    model = regressor_class(regressor)(inference="vi", noise_features=None, random_state=seed)
    found = select_n_experts(model, X, y, n_experts=NUMBERS, alternatives={"noise": [TAILS]})
    return {
        "n_experts": found.n_experts,
        "noise": found.params.get("noise", "normal"),
        "n_rows": len(X),
        "choose_seconds": time.perf_counter() - begun,
        "choose_cpu_seconds": time.process_time() - cpu,
        "candidates": _compared(found),
    }


def load_compiled_code(regressor: str, X, y) -> None:
    """Fit and predict in the ways that :func:`choose` does, before the clock starts."""
    for noise in ("normal", TAILS):
        predict = fit(regressor, "vi", X, y, 0, {"n_experts": FEW_EXPERTS, "noise": noise})
        predict(X).distribution.logpdf(y)


def _compared(found) -> list[dict]:
    """Elpd of every candidate, and its difference from the selected one with the paired error."""
    candidates = [("normal", m, candidate) for m, candidate in found.candidates.items()]
    candidates += [(each.value, found.n_experts, each.candidate) for each in found.alternatives]
    rows = []
    for noise, n_experts, candidate in candidates:
        behind = candidate.elpd_difference(found.selected)
        rows.append(
            {
                "noise": noise,
                "n_experts": n_experts,
                "elpd": candidate.elpd.elpd,
                "elpd_diff": behind.elpd,
                "diff_se": behind.se,
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
        noise_features=None,
        noise=choice["noise"],
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
