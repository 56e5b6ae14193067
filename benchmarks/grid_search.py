"""GridSearchCV over 1 to 4 experts, 5 folds, diabetes (442 x 10), n_jobs=2.

The largest number comes first, so that the two workers end together.

Run: python benchmarks/grid_search.py [engine ...]
"""

import sys
import time
import warnings

from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skcocoafuse import CoCoAFusERegressor


def mean_log_density(model, X, y):
    return model.log_prob(X, y).mean()


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    X, y = load_diabetes(return_X_y=True)
    CoCoAFusERegressor(inference="map", random_state=0).fit(X, y)  # fills the disk cache
    for engine in sys.argv[1:] or ["vi", "nuts"]:
        begun = time.perf_counter()
        search = GridSearchCV(
            CoCoAFusERegressor(inference=engine, random_state=0),
            {"n_experts": [4, 3, 2, 1]},
            scoring=mean_log_density,
            cv=5,
            n_jobs=2,
        ).fit(X, y)
        seconds = time.perf_counter() - begun
        print(f"{engine:8s} {seconds:6.1f} s  chosen {search.best_params_}", end="  ")
        print("LPPD by experts", search.cv_results_["mean_test_score"][::-1].round(3))
