"""
A flat prior on the behavior gate
=================================

Below about 4 m/s a wind turbine generates nothing or a little, and rows form two branches: the
null-power regime. Above, it is in operation, and power follows one smooth curve. A behavior gate
has to be 1 in the first and 0 in the second. The default prior pulls beta towards 1/2 and its slope
towards 0. Does that matter? The same model is fitted with a flat prior, to few rows and to many.

Ten-minute averages of one turbine in July 2015; ENGIE, La Haute Borne open data (Etalab Open
Licence 2.0). Outages, rows without power in more than 5 m/s, are left out.
"""

# %%
# Two priors, two sizes, four samples
# -----------------------------------
# `Prior("flat")` on the intercept makes beta uniform on (0, 1) at the center of the data. On the
# slope a flat prior would have no proper posterior, so its Laplace prior is made ten times as wide.
# Each model has two linear experts and is fitted to four separate samples of 100 and of 600 rows;
# all of them are judged on the same 1400 other rows.

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from skcocoafuse import CoCoAFusERegressor, Prior
from skcocoafuse.datasets import load_wind_power
from skcocoafuse.metrics import interval_coverage, interval_length
from skcocoafuse.plotting import PredictionFanDisplay

X, y = load_wind_power(return_X_y=True, as_frame=True)
X = X[["wind_speed_ms"]].rename(columns={"wind_speed_ms": "wind speed (m/s)"})
y = y.rename("power (kW)")
in_operation = (X["wind speed (m/s)"] < 5.0) | (y > 10.0)
X_rest, X_test, y_rest, y_test = train_test_split(
    X[in_operation], y[in_operation], test_size=1400, random_state=0
)
priors = {
    "default": None,
    "flat": {"behavior_intercept": Prior("flat"), "behavior_coef": Prior("laplace", scale=10.0)},
}
light = (X_test["wind speed (m/s)"] < 4.0).to_numpy()
regimes = {"null power (< 4 m/s)": light, "operation": ~light}

models, rows = {}, []
for n_rows in (100, 600):
    for sample in range(4):
        part = slice(sample * 600, sample * 600 + n_rows)  # rows are in random order
        for prior, value in priors.items():
            model = CoCoAFusERegressor(
                2, priors=value, draws=400, target_accept=0.95, random_state=0
            )
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                model.fit(X_rest[part], y_rest[part])
            for warning in caught:
                print(f"{n_rows} rows, {prior} prior: {warning.category.__name__}")
            models[n_rows, sample, prior] = model
            dist = model.predict_dist(X_test)
            interval, log_density = dist.interval(0.9), dist.logpdf(y_test)
            for regime, of_regime in regimes.items():
                rows.append(
                    {
                        "rows": n_rows,
                        "regime": regime,
                        "prior": prior,
                        "sample": sample,
                        "coverage": interval_coverage(y_test[of_regime], interval[of_regime]),
                        "length (kW)": interval_length(interval[of_regime]),
                        "log density": log_density[of_regime].mean(),
                    }
                )
results = pd.DataFrame(rows).set_index(["rows", "regime", "prior", "sample"])
means = results.groupby(level=[0, 1, 2]).mean()
print(means.round({"coverage": 3, "length (kW)": 1, "log density": 2}).to_string())

# %%
# Flat minus default, with standard errors over the samples.

change = results.xs("flat", level="prior") - results.xs("default", level="prior")
by_regime = change.groupby(level=["rows", "regime"])
table = pd.concat({"mean": by_regime.mean(), "se": by_regime.sem()}, axis=1).swaplevel(axis=1)
print(table[results.columns].round(3).to_string())

# %%
# Coverage and length of the intervals hardly depend on the prior. With 600 rows the flat prior has
# intervals a little shorter in both regimes (1 and 5 percent), and about as many rows inside. (A
# hundred rows hold few of the null-power regime, and a fit to them may have divergent
# trajectories.)
#
# Pictures
# --------
# The bars are standard errors over the four samples.

COLORS = {"default": "#0072B2", "flat": "#D55E00"}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
labels = [f"{regime}\n{n_rows} rows" for n_rows, regime in by_regime.groups]
for axis, column in zip(axes, ("coverage", "length (kW)"), strict=True):
    for shift, prior in ((-0.12, "default"), (0.12, "flat")):
        own = results[column].xs(prior, level="prior").groupby(level=["rows", "regime"])
        axis.errorbar(
            np.arange(4) + shift, own.mean(), own.sem(), fmt="o", capsize=4,
            color=COLORS[prior], label=f"{prior} prior",
        )  # fmt: skip
    axis.set_xticks(range(4), labels, fontsize="small")
    axis.set_ylabel(f"{column} of 90% intervals")
    axis.spines[["top", "right"]].set_visible(False)
axes[0].axhline(0.9, color="0.5", lw=0.8)
axes[1].set_ylim(bottom=0.0)
axes[0].legend(frameon=False)

# %%
# Beta of each of the samples (posterior means).

# sphinx_gallery_thumbnail_number = 2

wind = pd.DataFrame({"wind speed (m/s)": np.linspace(0.5, 13.0, 150)})
figure, axes = plt.subplots(1, 2, figsize=(9, 3.0), sharey=True, layout="constrained")
for axis, n_rows in zip(axes, (100, 600), strict=True):
    for (size, sample, prior), model in models.items():
        if size == n_rows:
            axis.plot(
                wind, model.predict_behavior(wind), color=COLORS[prior], lw=1.5,
                ls="-" if prior == "default" else "--",
                label=f"{prior} prior" if sample == 0 else None,
            )  # fmt: skip
    axis.set(title=f"{n_rows} rows", xlabel="wind speed (m/s)")
    axis.spines[["top", "right"]].set_visible(False)
axes[0].set(ylabel=r"behavior $\beta$", yticks=[0, 0.5, 1])
axes[0].set_yticklabels(["0 blends", "", "1 mixes"])
axes[1].legend(frameon=False)

# %%
# Beta can depend on it: with 100 rows the default prior holds beta below 1/2 in the null-power
# regime in one of the samples, where the flat prior lets it go on towards 1. With 600 rows the data
# decide: 1 below 3 m/s, 0 above 5 m/s, whatever the prior. So do not read beta off few rows; the
# predictions hardly mind.
#
# The fit with the flat prior to 600 rows.

display = PredictionFanDisplay.from_estimator(models[600, 0, "flat"], X_test, y_test)
display.figure_.suptitle("Flat prior on the behavior gate, 600 rows")
