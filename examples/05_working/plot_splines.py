"""
Splines in the experts and in the gate
======================================

Experts are linear in their columns, and the columns need not be the measurements: with those of a
`SplineTransformer` an expert is a smooth curve, and a gate can open and close more than once. Which
part should bend? The power of a wind turbine shows both: the power curve is curved, and the turbine
stands still in some of the rows, more often in light wind.

Ten-minute averages of one turbine in July 2015; ENGIE, La Haute Borne open data (Etalab Open
Licence 2.0).
"""

# %%
# The same splines in three places
# --------------------------------
# Five knots, at quantiles of the wind speed, as the rows are dense in light wind and sparse in
# strong wind. The model adds intercepts, so the splines leave out their constant
# (`include_bias=False`). The transformer is cloned and fitted inside `fit`. Models are fitted by
# variational inference (`"vi"`): predictions are compared here, not coefficients.

import warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import SplineTransformer

from skcocoafuse import MoERegressor
from skcocoafuse.datasets import load_wind_power
from skcocoafuse.exceptions import PoorApproximationWarning
from skcocoafuse.metrics import interval_coverage, interval_length
from skcocoafuse.plotting import PredictionFanDisplay

warnings.simplefilter("ignore", PoorApproximationWarning)
X, y = load_wind_power(return_X_y=True, as_frame=True)
X = X[["wind_speed_ms"]].rename(columns={"wind_speed_ms": "wind speed (m/s)"})
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=600, test_size=1500, random_state=0
)

splines = SplineTransformer(n_knots=5, knots="quantile", include_bias=False)
options = {"inference": "vi", "random_state": 0}
models = {
    "1 expert, a line": MoERegressor(1, **options),
    "1 expert, splines": MoERegressor(1, expert_features=splines, **options),
    "3 experts, linear": MoERegressor(3, **options),
    "3 experts, splines in experts": MoERegressor(3, expert_features=splines, **options),
    "3 experts, splines in gate": MoERegressor(3, gate_features=splines, **options),
    "3 experts, splines in both": MoERegressor(
        3, expert_features=splines, gate_features=splines, **options
    ),
}
rows, log_densities = {}, {}
for name, model in models.items():
    dist = model.fit(X_train, y_train).predict_dist(X_test)
    interval = dist.interval(0.9)
    log_densities[name] = dist.logpdf(y_test)
    rows[name] = {
        "LPPD": log_densities[name].mean(),
        "coverage (90%)": interval_coverage(y_test, interval),
        "length (kW)": interval_length(interval),
        "error of the median (kW)": np.abs(dist.median() - y_test).mean(),
    }
table = pd.DataFrame(rows).T
print(table.round(2).to_string())

# %%
# Differences in LPPD with standard errors, paired by rows.

pairs = [
    ("3 experts, splines in experts", "3 experts, linear"),
    ("3 experts, splines in gate", "3 experts, linear"),
    ("3 experts, splines in both", "3 experts, linear"),
    ("3 experts, splines in both", "3 experts, splines in gate"),
    ("3 experts, splines in both", "3 experts, splines in experts"),
]
for better, other in pairs:
    gain = log_densities[better] - log_densities[other]
    error = gain.std() / len(gain) ** 0.5
    print(f"{better} - {other.removeprefix('3 experts, ')}: {gain.mean():.2f} +- {error:.2f}")

# %%
# One curve follows the mean, but its noise must cover standstill and power curve together, so its
# density is low and its intervals are long. Three experts tell the two apart. With splines in any
# part the density is about 0.3 per row higher than with three lines. Where the splines go matters
# little to this score. Their intervals are no shorter than those of three lines, and the next table
# shows one reason. (The rows are ten-minute averages one after another, so they say less than as
# many independent ones, and true standard errors are larger.)

# %%
# How often does the turbine stand still?
# ---------------------------------------
# The probability of a power within 10 kW of zero, at the middle of each range of wind speed, beside
# the share of held-out rows that are there.

column = X.columns[0]
edges = np.array([2.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0])
middles = pd.DataFrame({column: 0.5 * (edges[:-1] + edges[1:])})
standing = y_test.abs() < 10.0
by_range = standing.groupby(pd.cut(X_test[column], edges), observed=True)
shares = pd.DataFrame({"rows": by_range.size(), "observed": by_range.mean()})
for name in list(models)[2:]:
    low, high = models[name].predict_dist(middles).cdf([[-10.0, 10.0]]).T
    shares[name.removeprefix("3 experts, ")] = high - low
print(shares.round(2).to_string())

# %%
# The share of standstill falls from light to moderate wind and rises again in strong wind. With
# linear gates the ratio of two experts' weights can only rise or only fall with the wind, and so
# they miss this: three lines practically rule out standstill above 10 m/s, where 13% of the
# held-out rows stand still. With splines the gate follows the shares. Splines in experts bend the
# power curve, but leave the share too low in strong wind.
#
# So decide by what bends: the curve needs splines in the experts, the share of standstill needs
# them in the gate. Held-out density alone would have been content with either.
#
# At the right end, beyond the largest wind speed of the training rows, curves are flat: outside its
# knots `SplineTransformer` continues with a constant, unless `extrapolation` says otherwise. With
# `"linear"` it continues as a line does.

for name in ("3 experts, linear", "3 experts, splines in experts", "3 experts, splines in both"):
    display = PredictionFanDisplay.from_estimator(
        models[name], X_test, y_test, target_name="power (kW)"
    )
    display.figure_.suptitle(name)

# sphinx_gallery_thumbnail_number = 3
