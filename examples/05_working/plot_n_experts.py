"""
How many experts?
=================

More experts nearly always fit the rows of the fit better. Whether they predict new rows better is
another question. `select_n_experts` answers it by cross-validation: a model with each number of
experts is fitted to parts of the data and scored on the rest. It is shown on made-up data with a
known answer, and on 442 patients with diabetes (Efron, Hastie, Johnstone and Tibshirani, 2004),
where nobody knows it.
"""

# %%
# Three lines
# -----------
# The data are drawn from three lines: the first passes smoothly into the second, which switches to
# the third.
#
# The candidates are fitted by variational inference (`"vi"`), which takes seconds where sampling
# takes many times as long. They are scored on rows they have not seen, so a poor approximation
# cannot make a candidate look good. The selected number is then fitted to all rows by the
# estimator's own engine, here `"nuts"`. Both are defaults; `inference="vi"` is written out.

import warnings

import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcocoafuse import (
    CoCoAFusERegressor,
    MoERegressor,
    NExpertsSelector,
    log_prob,
    predict_interval,
    select_n_experts,
)
from skcocoafuse.datasets import make_switch_and_transition
from skcocoafuse.exceptions import PoorApproximationWarning
from skcocoafuse.metrics import interval_coverage, interval_length
from skcocoafuse.plotting import NExpertsDisplay, PredictionFanDisplay

X, y = make_switch_and_transition(300, random_state=0)
selection = select_n_experts(
    CoCoAFusERegressor(random_state=0), X, y, n_experts=[1, 2, 3, 4], inference="vi"
)
columns = ["elpd", "se", "elpd_diff", "diff_se", "collapsed", "seconds", "chosen"]
print(selection.table[columns].round(1).to_string())
print(f"chosen: {selection.n_experts}; the final fit is by {selection.estimator.inference!r}")

# %%
# Two experts are clearly too few. A fourth changes the elpd by less than its standard error, so the
# rule `"one_se"` keeps three, the number that the data were drawn from. The picture shows the same
# with bars for the paired standard errors; its scale is logarithmic beyond 10 nats.

display = NExpertsDisplay.from_selection(selection)

# %%
# The selection holds the chosen fit. It has found the smooth transition, where the behavior gate
# blends (beta = 0), and the switch, where it mixes (beta = 1).

display = PredictionFanDisplay.from_estimator(selection.estimator, X, y)

# %%
# At the end of a pipeline
# ------------------------
# On to the patients. Their ten measurements are correlated, six are of blood serum, and fewer
# columns mean fewer coefficients per expert. `NExpertsSelector` does the same as the function, as
# the last step of a pipeline, and chooses the number of experts for the columns that earlier steps
# make. To keep the example short the final fit is by `"vi"` as well. Its warning that the
# approximation is far from the posterior, as with most real data, is silenced, since only
# predictions are used: use `"nuts"` before reading coefficients.

warnings.simplefilter("ignore", PoorApproximationWarning)
X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=300, random_state=0)

components = make_pipeline(StandardScaler(), PCA(n_components=5))
pipeline = make_pipeline(
    components,
    NExpertsSelector(MoERegressor(inference="vi", random_state=0), n_experts=[1, 2, 3, 4]),
)
pipeline.fit(X_train, y_train)
selector = pipeline[-1]
print(selector.selection_.table[columns].round(1).to_string())
display = NExpertsDisplay.from_selection(selector)

# %%
# One expert is far behind, and two are behind by more than a standard error, and by more than 4
# nats, so the rule takes three.

# %%
# Rows that no choice has seen
# ----------------------------
# The rows that were set aside played no part in the choice. The pipeline predicts like any other
# regressor, and `predict_interval` and `log_prob` look through it.

one = make_pipeline(components, MoERegressor(1, inference="vi", random_state=0))
models = {"1 expert": one.fit(X_train, y_train), f"{selector.n_experts_} experts, chosen": pipeline}
rows, log_densities = {}, []
for name, model in models.items():
    interval = predict_interval(model, X_test, coverage=0.9)
    log_densities.append(log_prob(model, X_test, y_test))
    rows[name] = {
        "LPPD": log_densities[-1].mean(),
        "coverage (90%)": interval_coverage(y_test, interval),
        "length": interval_length(interval),
    }
print(pd.DataFrame(rows).T.round(3).to_string())
gain = log_densities[1] - log_densities[0]
print(f"sum of differences: {gain.sum():.1f}, standard error {gain.std() * len(gain) ** 0.5:.1f}")

# %%
# The gain over one expert is smaller than cross-validation promised: 39 nats for 300 rows would be
# about 19 for these 142, and they show 3, with a standard error of 5.5. They neither confirm nor
# rule out that three experts are better than one. Both coverages are within two standard errors
# (0.05) of 90%.
#
# The elpd of a chosen number is the best of several, so it is partly luck. It serves to choose, not
# to report how good the choice is; that takes rows of their own, and more than 142.
