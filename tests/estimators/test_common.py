"""scikit-learn's own checks, on fast instances, with no failure expected."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skcocoafuse import BoERegressor, CoCoAFusERegressor, MoERegressor, Prior

# The checks fit 15 rows with 30 columns, which linear experts interpolate: the joint mode
# would be sigma -> 0 and no optimum to find twice. A prior that says "there is noise" helps.
OPTIONS = {"inference": "map", "priors": {"sigma": Prior("lognormal", scale=0.25, loc=-0.5)}}
FAST = [
    MoERegressor(**OPTIONS),
    BoERegressor(**OPTIONS),
    CoCoAFusERegressor(**OPTIONS),
    CoCoAFusERegressor(n_experts=1, **OPTIONS),
]


@pytest.mark.filterwarnings("ignore::skcocoafuse.exceptions.CollapsedExpertWarning")
@parametrize_with_checks(FAST)
def test_scikit_learn_check(estimator, check):
    check(estimator)
