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
# All settings are defaults except the number of experts, the number of draws (half as many) and the
# seed.

import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor
from skcocoafuse.datasets import load_wind_power
from skcocoafuse.metrics import interval_coverage, interval_length

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
# The columns are, from the left: the error of the mean, the log density of the held-out
# rows (higher is better), the fraction of them inside the 95% interval, and the length of the
# interval.
#
# The blend has the best mean and by far the worst density: one bell curve must cover a running
# and a stationary turbine. The two models that can mix agree with each other.
#
# What CoCoAFusE learned
# ----------------------
# Wind speed varies over its range, at the median temperature. The upper panel shows the
# predictive fan with the experts' lines, each shown where its gate is open; the lower panels show
# the gate and the behavior: beta = 1 mixes the experts, beta = 0 blends them. Where one expert has
# all the weight, beta makes no difference, so its line fades there.
#
# These data call for mixing: a turbine runs or stands still, never half of each, so beta is 1
# wherever it matters. From about 9 m/s on, more than a tenth of the probability is a stationary
# turbine, and the 80% interval reaches down to zero; the mean is where there are no rows.

model = models["CoCoAFusE"]
wind = np.linspace(X["wind_speed_ms"].min(), X["wind_speed_ms"].max(), 240)
grid = pd.DataFrame({"wind_speed_ms": wind, "ambient_temp_C": X["ambient_temp_C"].median()})

levels = np.array([0.5, 0.8, 0.95])
fan = model.predict_interval(grid, coverage=levels)
experts, gate, beta = (
    model.predict_experts(grid),
    model.predict_gate(grid),
    model.predict_behavior(grid),
)
between = (gate * (experts - (gate * experts).sum(axis=1, keepdims=True)) ** 2).sum(axis=1)
informed = np.clip(between / np.quantile(between, 0.9), 0.05, 1.0)

figure, (top, middle, bottom) = plt.subplots(
    3, 1, figsize=(8, 9), sharex=True, height_ratios=(3.2, 1, 1), layout="constrained"
)
top.scatter(X_test["wind_speed_ms"], y_test, s=6, color="0.2", alpha=0.5, lw=0, zorder=3)
for j, shade in ((2, "#deebf7"), (1, "#b3d3e8"), (0, "#7fb6da")):
    top.fill_between(
        wind, fan[:, 0, j], fan[:, 1, j], color=shade, lw=0, label=f"{levels[j]:.0%} interval"
    )
top.plot(wind, model.predict(grid), color="C0", lw=2, label="mean", zorder=4)
colors = ["C1", "C2", "C3", "C5", "C6"]
for k, color in enumerate(colors):
    shown = gate[:, k] > 0.02
    top.plot(np.where(shown, wind, np.nan), experts[:, k], color=color, lw=1.6, ls="--", zorder=5)
    top.plot([], [], color=color, ls="--", label=f"expert {k}")
    middle.plot(wind, gate[:, k], color=color, lw=2)
for j in range(len(wind) - 1):
    bottom.plot(wind[j : j + 2], beta[j : j + 2], color="C4", lw=2.5, alpha=informed[j])

low, high = y.min(), y.max()
top.set_ylim(low - 0.12 * (high - low), high + 0.12 * (high - low))
top.set_xlim(wind[0], wind[-1] + 0.2)
top.set_ylabel("power (kW)")
handles, labels = top.get_legend_handles_labels()
n_bands = len(levels) + 1  # the intervals and the mean; then the experts
top.add_artist(top.legend(handles[:n_bands], labels[:n_bands], loc="upper left", frameon=False))
top.legend(
    handles[n_bands:], labels[n_bands:], loc="upper left", bbox_to_anchor=(0.2, 1), frameon=False
)
top.set_title("CoCoAFusE with five linear experts: held-out rows and predictions")
middle.set_ylabel("gate")
bottom.set_ylabel(r"behavior $\beta$")
for axes in (middle, bottom):
    axes.set_ylim(-0.04, 1.04)
bottom.set_xlabel("wind speed (m/s)")
bottom.text(0.01, 0.86, "1: mixes", transform=bottom.transAxes, color="0.4")
bottom.text(0.01, 0.08, "0: blends", transform=bottom.transAxes, color="0.4")

folder = Path("output")
folder.mkdir(exist_ok=True)
figure.savefig(folder / "wind_power.png", dpi=130)
print(f"picture: {folder / 'wind_power.png'}")
