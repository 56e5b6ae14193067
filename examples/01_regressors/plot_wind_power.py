"""
The power of a wind turbine
===========================

How much power will a turbine generate at a forecast wind speed, and how certain is that? The
power curve bends smoothly, yet in some of the rows the turbine stands still in good wind: no
single straight line and no single bell curve fits. Three models with five linear experts
each are fitted to the same rows and compared on rows they have not seen.

Ten-minute averages of one turbine in July 2015; ENGIE, La Haute Borne open data (Etalab Open
Licence 2.0).
"""

# %%
# Split, fit, compare
# -------------------
# All settings are defaults except the number of experts, the number of draws (half as many) and
# the seed.

import time
from pathlib import Path

import pandas as pd
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor
from skcocoafuse.datasets import load_wind_power
from skcocoafuse.metrics import interval_coverage, interval_length
from skcocoafuse.plotting import (
    CalibrationDisplay,
    ExpertsDisplay,
    GateDisplay,
    PredictionFanDisplay,
    PredictiveDensityDisplay,
)

X, y = load_wind_power(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=0.4, random_state=0)

models, rows = {}, {}
for regressor in (MoERegressor, BoERegressor, CoCoAFusERegressor):
    name = regressor.__name__.removesuffix("Regressor")
    begun = time.perf_counter()
    model = regressor(n_experts=5, draws=500, random_state=0).fit(X_train, y_train)
    seconds = time.perf_counter() - begun
    interval = model.predict_interval(X_test, coverage=0.95)
    models[name] = model
    rows[name] = {
        "RMSE (kW)": root_mean_squared_error(y_test, model.predict(X_test)),
        "LPPD": model.log_prob(X_test, y_test).mean(),
        "CIC (95%)": interval_coverage(y_test, interval),
        "CIL (kW)": interval_length(interval),
        "R-hat": model.diagnostics_["rhat"],
        "fit (s)": seconds,
    }
table = pd.DataFrame(rows).T.round(
    {"RMSE (kW)": 1, "LPPD": 3, "CIC (95%)": 3, "CIL (kW)": 1, "R-hat": 3, "fit (s)": 1}
)
print(table.to_string())

# %%
# The columns are, from the left: the error of the mean, the log density of the held-out rows
# (higher is better), the fraction of them inside the 95% interval, and the length of the interval.
#
# The blend has the best mean and by far the worst density: one bell curve must cover a running and
# a stationary turbine. The two models that can mix agree with each other.
#
# What CoCoAFusE learned
# ----------------------
# Wind speed varies over its range, at the median temperature. The upper panel shows the highest-
# density regions with the experts' lines, each shown where its gate is open; the lower panels show
# the gate and the behavior, with 90% credible bands: beta = 1 mixes the experts, beta = 0 blends
# them. Where one expert has all the weight, beta makes no difference, so it is gray there.
#
# These data call for mixing: a turbine runs or stands still, never half of each, so beta is 1
# wherever it matters. From about 9 m/s on, more than a tenth of the probability is a stationary
# turbine, so the regions have two branches, and the mean is where there are no rows.

model = models["CoCoAFusE"]
display = PredictionFanDisplay.from_estimator(
    model, X_test, y_test, feature="wind_speed_ms", target_name="power (kW)"
)
display.figure_.set_size_inches(8, 7)
display.behavior_ax_.set_xlabel("wind speed (m/s)")
display.figure_.suptitle("CoCoAFusE with five linear experts: held-out rows and predictions")

folder = Path("output")
folder.mkdir(exist_ok=True)
display.figure_.savefig(folder / "wind_power.png", dpi=130)
print(f"picture: {folder / 'wind_power.png'}")

# %%
# The same with central intervals: these cannot leave out what lies between a running and a
# stationary turbine.

PredictionFanDisplay.from_estimator(
    model, X_test, y_test, feature="wind_speed_ms", target_name="power (kW)", kind="interval"
)

# %%
# Densities at four held-out rows: the spike at zero is the stationary turbine, cut off at the top
# where it would hide the rest.

at = X_test["wind_speed_ms"].sort_values().index[[400, 1100, 1500, 1740]]
PredictiveDensityDisplay.from_estimator(model, X_test.loc[at], y_test.loc[at])

# %%
# Calibration on the held-out rows: PIT, coverage and length of central intervals. The rows are
# ten-minute averages one after another, so they say less than as many independent ones.

CalibrationDisplay.from_estimator(model, X_test, y_test)

# %%
# Which expert counts where, over both inputs.

GateDisplay.from_estimator(model, X_test, features=("wind_speed_ms", "ambient_temp_C"))

# %%
# The experts themselves: slopes per standard deviation of each input, noise, share of the data.

ExpertsDisplay.from_estimator(model, target_name="kW")
