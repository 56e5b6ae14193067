"""
One line with growing noise, or three lines with constant noise?
================================================================

What households spend on food grows with their income, and so does the spread between them. Experts
with constant noise can describe such a fan, by dividing it into pieces with different noise. An
expert whose noise depends on the input describes it in one piece, with one line to read.

The data are made in the likeness of Engel's (1857) household budgets.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import FunctionTransformer

from skcocoafuse import BoERegressor, MoERegressor

rng = np.random.default_rng(0)
income = np.exp(rng.normal(0.0, 0.5, size=500))
food = 0.1 + 0.5 * income + 0.12 * income**1.2 * rng.normal(size=500)
X, y = pd.DataFrame({"income": income}), food
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=0)

# %%
# `noise_features=None` lets the noise depend on all columns; a list selects some, a transformer
# computes others, and the default `()` is constant noise. The log of the noise is linear in these
# columns: with the log of income as input, noise is a power of income. With one expert
# all three regressors are the same.

log_of_income = FunctionTransformer(np.log, feature_names_out="one-to-one")

models = {
    "one expert, constant noise": BoERegressor(1, random_state=0),
    "three experts, constant noise": MoERegressor(3, random_state=0),
    "one expert, noise(income)": BoERegressor(1, noise_features=log_of_income, random_state=0),
}
poor = (X_test["income"] < X_test["income"].quantile(1 / 3)).to_numpy()
rich = (X_test["income"] > X_test["income"].quantile(2 / 3)).to_numpy()
rows = {}
for name, model in models.items():
    model.fit(X_train, y_train)
    lower, upper = model.predict_interval(X_test).T
    inside = (lower <= y_test) & (y_test <= upper)
    rows[name] = {
        "log density": model.log_prob(X_test, y_test).mean(),
        "inside 95%, poorest third": inside[poor].mean(),
        "richest third": inside[rich].mean(),
        "numbers to read": len(model.summary()),
    }
print(pd.DataFrame(rows).T.round(3).to_string())

# %%
# With constant noise the interval of a single expert is too wide for poor households and too narrow
# for rich ones. Three experts and a gate repair most of that. One expert with growing noise has the
# highest density of all with six numbers, and they say what happens: the noise is proportional to a
# power of income. The data were made with a power of 1.2, which is inside the interval of its row.

fan = models["one expert, noise(income)"]
print(fan.summary()[["mean", "lower", "upper", "meaning"]].round(2).to_string())

# %%
# Prefer more experts where the line itself changes: several slopes, a switch, two branches. Inputs
# of the noise are for spread that changes around the same line. Both can be combined, and
# `GridSearchCV` or :func:`.select_n_experts` decide by held-out rows.

grid = pd.DataFrame({"income": np.linspace(0.2, 3.2, 200)})
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), sharey=True, layout="constrained")
for axis, (name, model) in zip(axes, models.items(), strict=True):
    for coverage, alpha in ((0.95, 0.2), (0.5, 0.4)):
        lower, upper = model.predict_interval(grid, coverage=coverage).T
        axis.fill_between(
            grid["income"], lower, upper, color="C0", alpha=alpha, lw=0, label=f"{coverage:.0%}"
        )
    axis.plot(grid["income"], model.predict(grid), color="C0", label="mean")
    axis.scatter(X_test["income"], y_test, s=9, color="0.25", lw=0, zorder=3, label="held out")
    axis.set(title=name, xlabel="income", xlim=(0.2, 3.2), ylim=(-0.4, 3.0))
axes[0].set_ylabel("food expenditure")
axes[0].legend(loc="upper left", frameon=False)

folder = Path("output")
folder.mkdir(exist_ok=True)
figure.savefig(folder / "growing_noise.png", dpi=110)
print(f"picture: {folder / 'growing_noise.png'}")
