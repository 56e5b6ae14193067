"""Rows that tests put into files and on clusters, and the fit to them in memory."""

import numpy as np
import pandas as pd

from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.datasets import make_switch_and_transition

FEATURES = ["speed", "temperature"]


def table(n=6000) -> pd.DataFrame:
    """Two features, a target, weights and a text; every third row has weight 0."""
    rng = np.random.default_rng(0)
    X, y = make_switch_and_transition(n, random_state=0)
    return pd.DataFrame(
        {
            "site": rng.choice(["a", "b"], n),
            "speed": X[:, 0],
            "power": y,
            "temperature": rng.normal(20.0, 9.0, n),
            "hours": np.arange(n) % 3 * 1.0,
        }
    )


def model(**changes) -> CoCoAFusERegressor:
    """Two experts, quickly."""
    options = {"inference": "map", "random_state": 0, "expert_features": FEATURES}
    options |= {"gate_features": ["speed"], "behavior_features": ["speed"]}
    return CoCoAFusERegressor(2, **options | changes)


def assert_same(found, expected, rtol=1e-6):
    """The same optimum, in the same order of experts, and the same use of experts."""
    for name in ("expert_coef_", "expert_intercept_", "gate_coef_", "behavior_coef_", "sigma_"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=rtol, atol=rtol, err_msg=name
        )
    for name in ("expert_share", "out_of_range_rows", "out_of_range_r2_loss"):
        np.testing.assert_allclose(
            found.diagnostics_[name], expected.diagnostics_[name], rtol=1e-5, atol=1e-9
        )
