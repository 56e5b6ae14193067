"""Other packages, each as its documentation shows, by its defaults.

Each function fits to training rows and returns a function that predicts rows.
"""

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.table.predictions import (
    COVERAGE,
    LEVELS,
    TAILS,
    NormalMixture,
    Prediction,
    normal,
)


def ngboost(X, y, seed: int):
    """Normal; boosting stops early by a tenth of the training rows, which NGBoost holds out."""
    from ngboost import NGBRegressor

    model = NGBRegressor(early_stopping_rounds=20, random_state=seed, verbose=False)
    model.fit(X.to_numpy(), y)

    def predict(X_test):
        dist = model.pred_dist(X_test.to_numpy())
        return normal(dist.params["loc"], dist.params["scale"])

    return predict


def _with_std(model, X, y):
    model = make_pipeline(StandardScaler(), model).fit(X, y)
    return lambda X_test: normal(*model.predict(X_test, return_std=True))


def gaussian_process(X, y, seed: int):
    """Constant * RBF with one length scale per column, plus white noise; standardized."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel

    kernel = 1.0 * RBF(np.ones(X.shape[1])) + WhiteKernel()
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    return _with_std(model, X, y)


def bayesian_ridge(X, y, seed: int):
    """Linear regression with priors whose scales are learned; standardized inputs."""
    from sklearn.linear_model import BayesianRidge

    return _with_std(BayesianRidge(), X, y)


def quantile_forest(X, y, seed: int):
    """Quantile regression forest, 100 trees."""
    from quantile_forest import RandomForestQuantileRegressor

    model = RandomForestQuantileRegressor(random_state=seed).fit(X, y)

    def predict(X_test):
        levels = [*TAILS, *LEVELS]
        found = model.predict(X_test, quantiles=levels)
        return Prediction(
            model.predict(X_test, quantiles="mean"), found[:, :2], quantiles=found[:, 2:]
        )

    return predict


def mapie(X, y, seed: int):
    """Conformalized quantile regression by gradient boosting; its point prediction is the median.

    A fifth of the rows conformalizes, at least 50: MAPIE needs more than 40 for 95%.
    """
    from mapie.regression import ConformalizedQuantileRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor

    n_rows = max(50, len(X) // 5)
    X, X_conformalize, y, y_conformalize = train_test_split(
        X, y, test_size=n_rows, random_state=seed
    )
    boosting = HistGradientBoostingRegressor(loss="quantile", quantile=0.5, random_state=seed)
    model = ConformalizedQuantileRegressor(boosting, confidence_level=COVERAGE).fit(X, y)
    model.conformalize(X_conformalize, y_conformalize)

    def predict(X_test):
        median, interval = model.predict_interval(X_test)
        return Prediction(median, interval[:, :, 0])

    return predict


def cgmm(X, y, seed: int):
    """Mixture of three linear experts by expectation maximization; standardized inputs."""
    from cgmm import MixtureOfExpertsRegressor

    scaler = StandardScaler().fit(X)
    model = MixtureOfExpertsRegressor(random_state=seed).fit(scaler.transform(X), y)

    def predict(X_test):
        rows = model.condition(scaler.transform(X_test))
        weight, mean, variance = (
            np.array([np.ravel(getattr(row, name)) for row in rows])
            for name in ("weights_", "means_", "covariances_")
        )
        return NormalMixture(weight, mean, np.sqrt(variance)).prediction()

    return predict


def lightgbmlss(X, y, seed: int):
    """Normal; boosting stops early by a tenth of the training rows."""
    import lightgbm
    from lightgbmlss.distributions.Gaussian import Gaussian
    from lightgbmlss.model import LightGBMLSS

    X, X_stop, y, y_stop = train_test_split(X, y, test_size=0.1, random_state=seed)
    model = LightGBMLSS(Gaussian())
    model.train(
        {"seed": seed},
        lightgbm.Dataset(X, y),
        num_boost_round=500,
        valid_sets=[lightgbm.Dataset(X_stop, y_stop)],
        callbacks=[lightgbm.early_stopping(20, verbose=False)],
    )

    def predict(X_test):
        found = model.predict(X_test, pred_type="parameters")
        return normal(found["loc"], found["scale"])

    return predict


def bambi(X, y, seed: int):
    """Linear model of standardized inputs, of which the noise depends too; default priors."""
    import bambi as bmb

    inputs = " + ".join(f"scale({name})" for name in X.columns)
    formula = bmb.Formula(f"target ~ {inputs}", f"sigma ~ {inputs}")
    model = bmb.Model(formula, X.assign(target=y))
    draws = model.fit(random_seed=seed, progressbar=False)

    def predict(X_test):
        found = model.predict(draws, data=X_test, inplace=False)
        mean, sd = (
            found["posterior"][name].stack(draw_=("chain", "draw")).to_numpy()
            for name in ("mu", "sigma")
        )
        return NormalMixture(np.full(mean.shape, 1.0 / mean.shape[1]), mean, sd).prediction()

    return predict
