"""
Outliers in turbine data: forgive them, or give them an expert?
===============================================================

A wind turbine's records contain rows in which it stands still in good wind: maintenance, ice, grid
limits. Who wants the power curve of the *running* turbine has three options: Normal noise, which is
pulled down by these rows; Student's t noise, which forgives them; or an expert of their own.

Ten-minute averages of one turbine in July 2015; ENGIE, La Haute Borne open data (Etalab Open
Licence 2.0). Rows from 5 to 11 m/s, below the rated power.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import PolynomialFeatures

from skcocoafuse import BoERegressor, MoERegressor
from skcocoafuse.datasets import load_wind_power

X, y = load_wind_power(return_X_y=True, as_frame=True)
X = X[["wind_speed_ms"]]
moderate = X["wind_speed_ms"].between(5.0, 11.0)
X, y = X[moderate], y[moderate]
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=500, random_state=0)
running = (y_test > 20.0).to_numpy()  # kW; never used to fit
print(f"{1 - running.mean():.1%} of the rows stand still")

# %%
# Every expert is a cubic of the wind speed, and the noise may grow with it. The models do not know
# which rows stand still; we compare the means with what the running turbine did.

cubic = PolynomialFeatures(3, include_bias=False)
options = {
    "expert_features": cubic,
    "noise_features": None,
    "target_accept": 0.95,
    "random_state": 0,
}
models = {
    "one expert, Normal noise": BoERegressor(1, **options),
    "one expert, Student's t": BoERegressor(1, noise="student_t", **options),
    "two experts, Normal noise": MoERegressor(2, **options),
}
rows = {}
for name, model in models.items():
    model.fit(X_train, y_train)
    dist = model.predict_dist(X_test)
    lower, upper = dist.interval(0.9).T
    inside = (lower <= y_test) & (y_test <= upper)
    rows[name] = {
        "error of the median, running (kW)": np.abs(dist.median() - y_test)[running].mean(),
        "length of 90% intervals (kW)": (upper - lower).mean(),
        "inside": inside.mean(),
        "log density": dist.logpdf(y_test).mean(),
        "degrees of freedom": model.noise_df_,
    }
print(pd.DataFrame(rows).T.round(2).to_string())

# %%
# One line with Normal noise follows neither the running turbine nor the one that stands still. With
# Student's t the same line is the power curve, close to that of the best model, and its degrees of
# freedom, below 2, say that there are gross outliers: as noise, these have no variance.
#
# These outliers are not isolated errors, though: all of them are at zero, so they are a regime, and
# an expert of its own describes it. The density of held-out rows is far higher with two experts:
# the region that holds 90% is the power curve and a strip at zero. Prefer Student's t for errors
# that come from anywhere, or where the rest is not to be predicted; prefer another expert for rows
# that have something in common.

PALE = "#bcd6ee"
grid = pd.DataFrame({"wind_speed_ms": np.linspace(5.0, 11.0, 250)})
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), sharey=True, layout="constrained")
for axis, (name, model) in zip(axes, models.items(), strict=True):
    dist = model.predict_dist(grid)
    for lower, upper in dist.hdi(0.9).intervals.transpose(1, 2, 0):
        axis.vlines(grid["wind_speed_ms"], lower - 5.0, upper + 5.0, color=PALE, lw=1.6)
    axis.plot(grid["wind_speed_ms"], dist.median(), color="C3", label="median")
    axis.scatter(X_test["wind_speed_ms"], y_test, s=4, color="0.25", lw=0, zorder=3)
    axis.set(title=name, xlabel="wind speed (m/s)", xlim=(5.0, 11.0), ylim=(-700.0, 2700.0))
axes[0].vlines([], [], [], color=PALE, lw=8, label="smallest region of 90%")
axes[0].set_ylabel("power (kW)")
axes[0].legend(loc="upper left", frameon=False)

folder = Path("output")
folder.mkdir(exist_ok=True)
figure.savefig(folder / "outliers.png", dpi=110)
print(f"picture: {folder / 'outliers.png'}")
