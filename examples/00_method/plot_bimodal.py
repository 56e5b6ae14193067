"""
Two answers at the same input
=============================

Each row follows one of two lines, and the input does not tell which. No single number is a good
prediction, and no single interval is a good region: a density with two modes is the answer. The
data are synthetic, so the true density is known.
"""

# %%
# Split, fit, compare
# -------------------
# The lines are -1 - 0.3 x and 1 + 0.3 x, with weights 0.6 and 0.4 everywhere, and the noise around
# both has a standard deviation of 0.25. Each model has two experts, half as many NUTS draws as by
# default, and other settings at their defaults. We compare the central interval of 95% with the
# smallest region of 95%, the highest-density region.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor
from skcocoafuse.datasets import make_bimodal
from skcocoafuse.metrics import interval_coverage, interval_length
from skcocoafuse.plotting import PredictionFanDisplay, PredictiveDensityDisplay

X, y, density = make_bimodal(1300, random_state=0, return_density=True)
X = pd.DataFrame(X, columns=["x"])
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=300, random_state=0)

models, rows = {}, {}
for regressor in (MoERegressor, BoERegressor, CoCoAFusERegressor):
    name = regressor.__name__.removesuffix("Regressor")
    models[name] = regressor(2, draws=500, random_state=0).fit(X_train, y_train)
    dist = models[name].predict_dist(X_test)
    interval = dist.interval(0.95)
    low, high = np.moveaxis(dist.hdi(0.95).intervals, -1, 0)  # (rows, parts), padded with NaN
    inside = ((low <= y_test[:, None]) & (y_test[:, None] <= high)).any(axis=1)
    rows[name] = {
        "LPPD": dist.logpdf(y_test).mean(),
        "coverage, interval": interval_coverage(y_test, interval),
        "coverage, region": inside.mean(),
        "length, interval": interval_length(interval),
        "length, region": np.nansum(high - low, axis=1).mean(),
        "parts of the region": np.isfinite(low).sum(axis=1).mean(),
    }
rows["true density"] = {"LPPD": np.log(density(X_test, y_test)).mean()}
print(pd.DataFrame(rows).T.round(3).to_string(na_rep=""))

# %%
# LPPD is the log density of the held-out rows, on average (higher is better). The Mixture and
# CoCoAFusE keep both lines and are practically equal. Their regions are 30% shorter than their
# intervals and hold no fewer rows: they leave out the gap. At most inputs they have two parts; near
# x = -2, where the lines are closest, one.
#
# The Blend has one bell curve, whose interval and region are the same. It is so wide that nearly
# all rows are inside, instead of 95%.
#
# In the upper row, highest-density regions have two branches. In the lower row, central intervals
# of the same predictions fill the gap, and the mean is in it. Even the 50% interval reaches nearly
# from one line to the other.

kinds = {"hdr": "highest-density regions", "interval": "central intervals"}
figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
for column, name in enumerate(("MoE", "CoCoAFusE")):
    for line, (kind, title) in enumerate(kinds.items()):
        display = PredictionFanDisplay.from_estimator(
            models[name], X_test, y_test, kind=kind, curves=False, ax=axes[line, column]
        )
        display.ax_.set(title=f"{name}, {title}", ylim=(-2.8, 2.8))
        display.ax_.get_legend().remove()
handles, labels = display.ax_.get_legend_handles_labels()
labels = [label.removesuffix(" interval") for label in labels]
figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
folder = Path("output")
folder.mkdir(exist_ok=True)
figure.savefig(folder / "bimodal.png", dpi=110)
print(f"picture: {folder / 'bimodal.png'}")

# %%
# The densities at x = 0.

figure, axes = plt.subplots(1, 3, figsize=(11, 3.0), layout="constrained", sharex=True)
at = pd.DataFrame({"x": [0.0]})
for axis, (name, model) in zip(axes, models.items(), strict=True):
    PredictiveDensityDisplay.from_estimator(model, at, ax=axis)
    axis.set_title(name, loc="left")

# %%
# Beta is not determined by these data
# ------------------------------------
# The predictions of CoCoAFusE are those of a Mixture, yet its beta is not close to 1, and its band
# is wide. With constant weights, lines that are further apart and a smaller beta give the same
# fused lines: the experts are outside the data, and fusion moves them in. So read the regions here,
# not beta or the experts; if these are to be read, choose the Mixture.

PredictionFanDisplay.from_estimator(models["CoCoAFusE"], X_test, y_test)

# sphinx_gallery_thumbnail_number = 3
