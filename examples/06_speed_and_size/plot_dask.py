"""
Rows on Dask and in Parquet
===========================

Rows that do not fit into memory can stay where they are: in a folder of Parquet files, or in the
partitions of a Dask DataFrame. The fit passes over them, and predictions are computed partition by
partition when they are asked for. Here there are few enough rows to compare all of this with
a fit in memory.
"""

# %%
# A folder of Parquet files
# -------------------------
# 20 000 rows of a function that switches on the left and bends on the right, in eight files.

import tempfile
import time
from pathlib import Path

import dask.dataframe as dd
import pandas as pd

from skcocoafuse import CoCoAFusERegressor, predict_to_parquet
from skcocoafuse.datasets import make_switch_and_transition
from skcocoafuse.plotting import PredictionFanDisplay

folder = Path(tempfile.mkdtemp())
X, y = make_switch_and_transition(20_000, random_state=0)
table = pd.DataFrame({"position (m)": X[:, 0], "height (m)": y})
(folder / "rows").mkdir()
for number in range(8):
    part = table[number * 2500 : (number + 1) * 2500]
    part.to_parquet(folder / "rows" / f"part-{number}.parquet", index=False)
print(sorted(path.name for path in (folder / "rows").iterdir()))

# %%
# Three fits to the same rows
# ---------------------------
# In memory; from the Parquet files, batch by batch, where the target is the name of a column; and
# from a Dask DataFrame. Without a cluster Dask computes in this process; with `distributed.Client`
# workers keep the partitions, and only parameters and sums travel. `"vi"` and `"map"` need at most
# 400 passes over the rows; NUTS needs tens of thousands, and is for rows in memory.

rows = dd.read_parquet(folder / "rows")
sources = {
    "memory": (table[["position (m)"]], table["height (m)"]),
    "Parquet": (folder / "rows", "height (m)"),
    "Dask": (rows[["position (m)"]], rows["height (m)"]),
}
models, found = {}, {}
at = pd.DataFrame({"position (m)": [-2.0, 0.0, 2.0]})
for name, (X, y) in sources.items():
    begun = time.perf_counter()
    models[name] = CoCoAFusERegressor(3, inference="vi", random_state=0).fit(X, y)
    found[name] = {"seconds": time.perf_counter() - begun}
    for position, mean in zip(at["position (m)"], models[name].predict(at), strict=True):
        found[name][f"mean at {position:.0f} m"] = mean
print(pd.DataFrame(found).T.round(3).to_string())

# %%
# The fits agree: the log posterior is a sum over rows, and the way these are divided does not
# matter.
#
# Predictions are lazy
# --------------------
# For a Dask collection they are Dask collections too, here an array. `compute` runs them, partition
# by partition. (`output="pandas"` gives a Dask DataFrame. Dask aligns two frames by their index, so
# join it to others only if the index is unique; in these files it is not.)

model = models["Dask"]
interval = model.predict_interval(rows[["position (m)"]], coverage=0.9)
observed = rows["height (m)"].values
inside = (interval[:, 0] <= observed) & (observed <= interval[:, 1])
print(interval)
print(f"rows inside their 90% interval: {inside.mean().compute():.3f}")

# %%
# From files to files, without Dask.

n_rows = predict_to_parquet(
    models["Parquet"], folder / "rows", folder / "predicted.parquet", keep=["height (m)"]
)
print(n_rows, "rows written")
print(pd.read_parquet(folder / "predicted.parquet").head(3).round(2).to_string())

# %%
# The fitted estimator is a plain object
# --------------------------------------
# It holds the posterior, not the rows, and needs neither Dask nor the files to predict. The fan is
# drawn over a sample of the rows.

sample = rows.sample(frac=0.04, random_state=0).compute()
display = PredictionFanDisplay.from_estimator(model, sample[["position (m)"]], sample["height (m)"])
display.figure_.suptitle("Fitted to a Dask DataFrame: 800 of 20 000 rows")
