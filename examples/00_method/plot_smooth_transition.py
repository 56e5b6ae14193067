"""
A smooth transition: blending is right
======================================

The mean goes over from one line to another, and the noise around it is the same everywhere. In the
middle, rows are near neither line. A Blend of Experts describes this; a Mixture of Experts can only
superpose lines, so it adds a second mode where there is none. The data are synthetic, so the true
density is known.
"""

# %%
# Split, fit, compare
# -------------------
# The lines are -1 - 1.2 x and 1 + 0.8 x, the weight of the second is expit(1.5 x), and the noise
# has a standard deviation of 0.25. Settings are the defaults, except for half as many NUTS draws.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor
from skcocoafuse.datasets import make_transition
from skcocoafuse.metrics import interval_coverage, interval_length
from skcocoafuse.plotting import (
    CalibrationDisplay,
    PredictionFanDisplay,
    PredictiveDensityDisplay,
)

X, y, density = make_transition(1300, random_state=0, return_density=True)
X = pd.DataFrame(X, columns=["x"])
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=300, random_state=0)
middle = (X_test["x"].abs() < 1.0).to_numpy()

models, dists, rows = {}, {}, {}
for regressor in (MoERegressor, BoERegressor, CoCoAFusERegressor):
    name = regressor.__name__.removesuffix("Regressor")
    models[name] = regressor(2, draws=500, random_state=0).fit(X_train, y_train)
    dists[name] = models[name].predict_dist(X_test)
    interval = dists[name].interval(0.95)
    parts = np.isfinite(dists[name].hdi(0.95).intervals[:, :, 0]).sum(axis=1)
    rows[name] = {
        "LPPD": dists[name].logpdf(y_test).mean(),
        "coverage (95%)": interval_coverage(y_test, interval),
        "interval length": interval_length(interval),
        "coverage, |x| < 1": interval_coverage(y_test[middle], interval[middle]),
        "length, |x| < 1": interval_length(interval[middle]),
        "regions of two parts": (parts > 1).mean(),
    }
rows["true density"] = {
    "LPPD": np.log(density(X_test, y_test)).mean(),
    "interval length": 2 * 1.96 * 0.25,
    "length, |x| < 1": 2 * 1.96 * 0.25,
    "regions of two parts": 0.0,
}
print(pd.DataFrame(rows).T.round(3).to_string(na_rep=""))

# %%
# LPPD is the log density of the held-out rows, on average (higher is better). The Blend is as good
# as the true density, and CoCoAFusE nearly so, although it has to learn that beta is 0. Their
# intervals are more than a tenth shorter than the Mixture's, and hold no fewer rows. Within one
# unit of the middle of the transition the Mixture has intervals longer by about a third, and
# *fewer* rows inside.
#
# The Mixture replaces the bend by a corner: its lines meet near x = -0.4. Around the corner its
# region has horns below the data, the prolonged lines, where there are hardly any rows; and rows
# above the corner are outside.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for axis, name in zip(axes, ("MoE", "CoCoAFusE"), strict=True):
    display = PredictionFanDisplay.from_estimator(
        models[name], X_test, y_test, curves=False, ax=axis
    )
    display.ax_.set(title=name, ylim=(-1.5, 4.5))
    display.ax_.get_legend().remove()
handles = display.ax_.get_legend_handles_labels()
figure.legend(*handles, loc="outside lower center", ncols=5, frameon=False)
folder = Path("output")
folder.mkdir(exist_ok=True)
figure.savefig(folder / "smooth_transition.png", dpi=110)
print(f"picture: {folder / 'smooth_transition.png'}")

# %%
# What CoCoAFusE learned
# ----------------------
# Beta is near 0 in all of the transition. On the left its band is wide: one expert has nearly all
# the weight there, so that beta makes little difference.
#
# The curve is determined well, the lines are less so: one can be moved if the gate follows. The
# lines of a Blend are not seen in the data, except at the ends.

PredictionFanDisplay.from_estimator(models["CoCoAFusE"], X_test, y_test)
at = pd.DataFrame({"x": [-2.0, -1.0, 0.0, 1.0, 2.0]})
table = at.assign(
    beta=models["CoCoAFusE"].predict_behavior(at),
    **{
        f"P(several modes), {name}": m.predict_dist(at).prob_multimodal()
        for name, m in models.items()
    },
)
print(table.round(2).to_string(index=False))

# %%
# P(several modes) is the posterior probability that the density of a row has more than one mode.
# With the Mixture it is 1 at most inputs, since the two lines are far apart there, though in most
# places the second mode is too low to matter: a region of two parts, as in the first table, is
# rarer.
#
# A spurious mode
# ---------------
# We look at the held-out row at which the Mixture's second mode is highest compared with the first.
# The second mode is a prolonged line, and the true density is practically 0 there. With CoCoAFusE
# it is gone: the fused experts are so close that their sum has one mode.

height = dists["MoE"].modes().density
row = X_test.index[[np.nanargmax(height[:, 1] / height[:, 0])]]
print(f"row {row[0]}, x = {X_test['x'][row[0]]:.2f}")
figure, axes = plt.subplots(1, 3, figsize=(11, 3.0), layout="constrained", sharex=True)
for axis, (name, model) in zip(axes, models.items(), strict=True):
    PredictiveDensityDisplay.from_estimator(model, X_test.loc[row], ax=axis)
    probability = model.predict_dist(X_test.loc[row]).prob_multimodal()[0]
    axis.set_title(f"{name}: P(several modes) = {probability:.2f}", loc="left")

# %%
# Calibration
# -----------
# The PIT of the Mixture leaves its band, if barely. It lies below the line: the observations are
# higher than the Mixture expects. That of CoCoAFusE stays inside.

for name in ("MoE", "CoCoAFusE"):
    display = CalibrationDisplay.from_estimator(models[name], X_test, y_test)
    display.figure_.suptitle(name)
    print(f"{name}: PIT inside its band: {display.inside_}")

# sphinx_gallery_thumbnail_number = 2
