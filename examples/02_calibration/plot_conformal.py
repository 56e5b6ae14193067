"""
Calibrated intervals of a wind turbine
======================================

A 90% interval covers 90% of new rows if the model is correct, which no model is exactly. Held-out
rows fix that without assumptions about the model: count how many of them each interval covers, and
use the level that covers 90%. Two ways are compared: on the probability scale with the model's own
predictive distribution, and by MAPIE, which takes any regressor and adds a margin to its mean.

Ten-minute averages of one turbine in July 2015; ENGIE, La Haute Borne open data (Etalab Open
Licence 2.0).
"""

# %%
# Three sets of rows
# ------------------
# The mode alone is a fast approximation of the posterior; its intervals ignore parameter
# uncertainty, which is one of the errors that calibration corrects.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from mapie.regression import SplitConformalRegressor
from sklearn.model_selection import train_test_split

from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.datasets import load_wind_power
from skcocoafuse.metrics import interval_coverage, interval_length

X, y = load_wind_power(return_X_y=True)
X_train, X_rest, y_train, y_rest = train_test_split(X, y, train_size=1500, random_state=0)
X_cal, X_test, y_cal, y_test = train_test_split(X_rest, y_rest, train_size=1000, random_state=0)

model = CoCoAFusERegressor(n_experts=5, inference="map", random_state=0).fit(X_train, y_train)

# %%
# Calibration in three lines
# --------------------------
# `pit` is the probability of a value up to the observed one. A central interval of coverage c
# contains every row with ``2 |pit - 1/2| <= c``, so the required level is a quantile of these
# scores, one rank higher than usual to account for their finite number. Then new rows are covered
# with probability 90% or more, on average over calibration sets, if they come from the same
# distribution (distributional conformal prediction: Chernozhukov, Wüthrich and Zhu, 2021, PNAS
# 118).

COVERAGE = 0.9


def calibrated_level(scores):
    rank = int(np.ceil((len(scores) + 1) * COVERAGE))
    return np.sort(scores)[rank - 1]


scores = 2 * np.abs(model.predict_dist(X_cal).pit(y_cal) - 0.5)
level = calibrated_level(scores)
print(f"for {COVERAGE:.0%} ask for {level:.1%}")

mapie = SplitConformalRegressor(model, confidence_level=COVERAGE, prefit=True)
mapie.conformalize(X_cal, y_cal)


def intervals(rows):
    return {
        "as fitted": model.predict_interval(rows, COVERAGE),
        "calibrated level": model.predict_interval(rows, level),
        "MAPIE, mean ± margin": mapie.predict_interval(rows)[1][..., 0],
    }


found = intervals(X_test)
bands = pd.cut(X_test[:, 0], [-1, 4, 6, 9, 15], labels=["0-4", "4-6", "6-9", "9-15"])
table = pd.DataFrame(
    {
        name: {
            "coverage": interval_coverage(y_test, ends),
            "length (kW)": interval_length(ends),
            **{
                f"coverage at {band} m/s": interval_coverage(y_test[rows], ends[rows])
                for band in bands.categories
                for rows in [bands == band]
            },
        }
        for name, ends in found.items()
    }
).T
print(table.round({name: 1 if "length" in name else 3 for name in table}).to_string())

# %%
# The model was underconfident, and the lower level makes its intervals shorter. MAPIE has the same
# guarantee on average with a margin that does not depend on the wind: far too wide in calm air, far
# too short in strong wind. The guarantee is only about the average: with the calibrated level, too,
# strong wind, with few of the rows, has less than 90%. And it holds for rows like these: the
# split is random, while next month may differ.
#
# The average over calibration sets
# ---------------------------------
# One calibration set of 1000 rows may be off by a percent. Scores are available for all rows
# outside the training set, so other splits cost nothing: a row is covered if its score is at most
# the level.

everything = 2 * np.abs(model.predict_dist(X_rest).pit(y_rest) - 0.5)
rng = np.random.default_rng(0)
covered = []
for _ in range(300):
    shuffled = rng.permutation(everything)
    covered.append(np.mean(shuffled[1000:] <= calibrated_level(shuffled[:1000])))
print(f"coverage in 300 splits: mean {np.mean(covered):.4f}, sd {np.std(covered):.4f}")

# %%
# Intervals along the wind speed
# ------------------------------
# Where a turbine may stand still in good wind, a central interval reaches down to zero as long as
# there is enough probability, and jumps up where there no longer is. The lower panel shows the
# shares from above with standard errors.

wind = np.linspace(0.5, X[:, 0].max(), 240)
grid = np.column_stack([wind, np.full(240, np.median(X[:, 1]))])
styles = {
    "as fitted": ("C0", "--"),
    "calibrated level": ("C0", "-"),
    "MAPIE, mean ± margin": ("C1", "-"),
}

figure, (top, bottom) = plt.subplots(
    2, 1, figsize=(8, 8), height_ratios=(2, 1), layout="constrained"
)
top.scatter(X_test[:, 0], y_test, s=6, color="0.2", alpha=0.4, lw=0)
for name, ends in intervals(grid).items():
    color, line = styles[name]
    top.plot(wind, ends[:, 0], color=color, ls=line, lw=1.8, label=name)
    top.plot(wind, ends[:, 1], color=color, ls=line, lw=1.8)
top.set(xlabel="wind speed (m/s)", ylabel="power (kW)", ylim=(-700, 2500))
top.set_title("90% intervals and held-out rows")
top.legend(loc="upper left", frameon=False)

by_wind = table.filter(like="m/s").T
n_rows = bands.value_counts()[bands.categories].to_numpy()
for j, name in enumerate(found):
    color, line = styles[name]
    place = np.arange(len(by_wind)) + 0.25 * (j - 1)
    solid = line == "-"
    filled = {"color": color} if solid else {"facecolor": "none", "edgecolor": color, "ls": "--"}
    error = np.sqrt(by_wind[name] * (1 - by_wind[name]) / n_rows)
    bars = bottom.bar(place, by_wind[name], width=0.22, yerr=error, ecolor="0.2", **filled)
    bottom.bar_label(bars, fmt="{:.2f}", label_type="center", color="white" if solid else color)
bottom.axhline(COVERAGE, color="0.3", lw=1)
bottom.set_xticks(
    range(len(by_wind)),
    [f"{band} m/s\n{n} rows" for band, n in zip(bands.categories, n_rows, strict=True)],
)
bottom.set(ylabel="share of rows inside", ylim=(0, 1.1))

folder = Path("output")
folder.mkdir(exist_ok=True)
figure.savefig(folder / "conformal.png", dpi=130)
print(f"picture: {folder / 'conformal.png'}")
