"""The recipe of the guide for a GPU, on the CPU: PyMC's model through JAX and numpyro."""

import importlib.util

import numpy as np
import pytest

from skcocoafuse import CoCoAFusERegressor
from skcocoafuse.datasets import make_switch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("numpyro") is None, reason="needs numpyro, which no extra installs"
    ),
]


def test_numpyro_finds_the_same_posterior():
    import pymc as pm

    X, y = make_switch(100, random_state=0)
    estimator = CoCoAFusERegressor(n_experts=2, random_state=0)
    with estimator.build_model(X, y):
        data = pm.sample(
            random_seed=1,
            progressbar=False,
            nuts_sampler="numpyro",
            nuts={"chain_method": "vectorized"},
        )
    own = estimator.fit(X, y).to_arviz()["posterior_standardized"]
    other = data["posterior"]
    for one, two in (  # quantities that do not depend on labels, means and standard errors
        (own["sigma"].min("expert"), other["sigma"].min("expert")),
        (own["sigma"].max("expert"), other["sigma"].max("expert")),
        (own["expert_coef"].sum("expert"), other["expert_coef"].sum("expert")),
    ):
        # at least one draw in twenty of either counts
        error = np.hypot(float(one.std()), float(two.std())) / np.sqrt(4000 / 20)
        assert abs(float(one.mean()) - float(two.mean())) < 4 * error
