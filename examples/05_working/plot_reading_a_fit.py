"""
Reading a fitted model
======================

A fit with several experts has no single list of coefficients. What it says is spread over the lines
of the experts, the gate that weights them, and the noise around each. This example reads one fit
from the outside in: whether it can be trusted, what the experts are, where each of them counts, and
what the model says about a single patient.

442 patients with diabetes (Efron, Hastie, Johnstone and Tibshirani, 2004), in original units; the
triglycerides are, according to scikit-learn's description, possibly a logarithm. The target
measures how far the disease had progressed after one year.
"""

# %%
# Six measurements, two experts
# -----------------------------
# Sampled by `"nuts"`, the default: the intervals of coefficients are to be read.

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes

from skcocoafuse import MoERegressor
from skcocoafuse.plotting import ExpertsDisplay, GateDisplay

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
names = {
    "age": "age (years)",
    "sex": "sex (1 or 2)",
    "bmi": "BMI (kg/m2)",
    "bp": "blood pressure (mmHg)",
    "s5": "log triglycerides",
    "s6": "blood sugar",
}
X = X[list(names)].rename(columns=names)
model = MoERegressor(n_experts=2, random_state=0).fit(X, y)

# %%
# Can the fit be trusted?
# -----------------------
# Four chains were run. R-hat near 1 says that they agree about the predictions, in spite of labels
# that could be swapped. One cluster of chains means that they found the same solution. If
# `expert_share` had an entry near 0, that expert would not be needed. `fit` warns if any of this
# deserves attention; here it did not.

diagnostics = model.diagnostics_
checks = {
    "R-hat": round(diagnostics["rhat"], 3),
    "effective sample size": round(diagnostics["ess"]),
    "divergences": diagnostics["n_divergences"],
    "clusters of chains": len(diagnostics["chain_clusters"]),
    "share of expert 0": round(diagnostics["expert_share"][0], 2),
    "share of expert 1": round(diagnostics["expert_share"][1], 2),
}
print(pd.Series(checks, dtype=object).to_string())

# %%
# The coefficients
# ----------------
# `summary()` has one row per parameter, with mean, standard deviation, 95% credible interval, and
# its meaning in words. Experts are numbered by the average target they account for, lowest first.

summary = model.summary()
experts = summary[summary.index.str.startswith("expert")]
print(experts[["mean", "sd", "lower", "upper", "meaning"]].round(2).to_string())

# %%
# Slopes of different columns are comparable per standard deviation of the column, as the display
# shows them, here with 90% intervals. Expert 1 accounts for most patients; for them progression
# increases with BMI, blood pressure and triglycerides, and the noise around the line is twice that
# of expert 0. Expert 0 has small slopes, of which only that of the triglycerides is clear.

display = ExpertsDisplay.from_estimator(model, target_name="progression")

# %%
# Where does each expert count?
# -----------------------------
# The color is that of the expert with the largest weight, and it is pale where weights are nearly
# equal; other columns are held at their medians. Expert 0 is for patients with low BMI and low
# triglycerides. The border is wide: most patients belong to both experts in part, so the two are
# not groups of patients.

display = GateDisplay.from_estimator(model, X, features=("BMI (kg/m2)", "log triglycerides"))
largest = model.predict_gate(X).max(axis=1)
print(f"patients with more than 90% of the weight on one expert: {(largest > 0.9).mean():.0%}")

# sphinx_gallery_thumbnail_number = 2

# %%
# `predict_gate` gives the weights of the experts at rows: here of three patients, those at the
# 10th, 50th and 90th percentile of the predicted progression. `predict_experts` gives the value of
# each line there, and the gate's average of these is near the prediction.

mean = model.predict(X)
at = np.argsort(mean)[[44, 221, 397]]
patients = X.iloc[at]
gate, lines = model.predict_gate(patients), model.predict_experts(patients)
interval = model.predict_interval(patients, coverage=0.9)
table = patients.assign(
    gate_0=gate[:, 0],
    line_0=lines[:, 0],
    line_1=lines[:, 1],
    predicted=mean[at],
    lower=interval[:, 0],
    upper=interval[:, 1],
    observed=y.iloc[at],
)
print(table.T.round(2).to_string())

# %%
# What would change the prediction?
# ---------------------------------
# `local_coef` is the slope of the predicted mean at a row: along the lines, and through the gate,
# which shifts weight from one line to the other. It is in units of the target per unit of the
# column, and differs from patient to patient.

slopes, band = model.local_coef(patients, coverage=0.9)
columns = {}
for k, name in enumerate(("10th percentile", "median", "90th percentile")):
    columns[name] = [
        f"{slope:6.2f} ({low:.2f} to {high:.2f})"
        for slope, (low, high) in zip(slopes[k], band[k], strict=True)
    ]
print(pd.DataFrame(columns, index=X.columns).to_string())

# %%
# The slope of BMI at the median patient is higher than that of either line: a higher BMI moves the
# prediction up along the lines and also shifts weight to expert 1, whose line is higher. With sex
# it is the same. Intervals of its slope contain 0 in both lines, yet at the median patient that of
# the predicted mean is clearly negative, because the gate depends on sex as well. (A category has
# no slope; with codes 1 and 2 it is roughly the difference.) So do not read effects off single
# lines: `local_coef` has the lines and the gate together.
#
# These are associations among the patients of the fit, by a model with two experts. Whether two are
# enough is a question for `select_n_experts`.
