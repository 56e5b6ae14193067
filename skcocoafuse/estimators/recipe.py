"""The regressor to begin with, if nothing is known about the data."""

from sklearn.model_selection import KFold

from skcocoafuse.estimators.experts import CoCoAFusERegressor
from skcocoafuse.estimators.selector import NExpertsSelector

# Spaced: each takes five fits. Twelve are better by 0.00 to 0.07 nats a row where eight are
# selected, take 1.65 times as long as these, and are hard to read (benchmarks/LOG.md).
_NUMBERS = (1, 2, 3, 5, 8)
_MAX_ROWS = 2000  # as many as the search for modes uses


def recommended_regressor(*, inference="nuts", random_state=None, n_jobs=None, progress_bar=False):
    """A regressor that makes its own choices: for good predictions without thinking about settings.

    A :class:`CoCoAFusERegressor` whose noise depends on all inputs, in a :class:`NExpertsSelector`
    that selects 1, 2, 3, 5 or 8 experts, then whether the behavior gate depends on inputs or is a
    constant, the same for the noise, and whether noise is Normal or Student t. If the last three
    are clearly better, more and fewer experts are tried with them. These choices are made by
    ``"vi"``, in 5 shuffled folds of at most 2000 rows (a random part if there are more), in at most
    40 fits, or 60 if numbers are tried again; then the regressor is fitted once to all rows. What
    has the highest log density of held-out rows is selected; with ``set_params(rule="one_se")`` it
    is fewer experts if these are nearly as good, which are easier to read.

    Parameters
    ----------
    inference : str, default="nuts"
        Engine of the final fit. With "short_chains" or "vi" that fit takes seconds rather than
        minutes.
    random_state : int, RandomState instance or None, default=None
        For the folds, the rows to choose from and all fits.
    n_jobs : int, optional
        As in :func:`select_n_experts`.
    progress_bar : bool, default=False
        Whether to show the number of completed fits.

    Returns
    -------
    NExpertsSelector
        Not fitted; ``set_params`` changes any of its settings.

    Notes
    -----
    What it achieves on real data beside other methods, and in what time, is in the documentation
    (How good is it?). Choosing took 13 s (211 rows, 1 column) to 209 s (2000 rows, 9 columns)
    there, on two cores. More than 2000 rows take no longer, but for the final fit; more columns
    do: with 48 (2000 rows) it took five minutes, with 100 (1000 rows, two lines and a switch) 80 s.
    Several experts with more parameters than rows are not tried: with 300 columns and 500 rows,
    where one is left, it took two minutes.

    Examples
    --------
    >>> from skcocoafuse import predict_interval, recommended_regressor
    >>> from skcocoafuse.datasets import make_switch
    >>> X, y = make_switch(150, random_state=0)
    >>> model = recommended_regressor(inference="vi", random_state=0)
    >>> model.set_params(n_experts=[1, 2]).fit(X, y).n_experts_
    2
    >>> predict_interval(model, X, coverage=0.9).shape
    (150, 2)
    """
    return NExpertsSelector(
        CoCoAFusERegressor(noise_features=None, inference=inference, random_state=random_state),
        n_experts=_NUMBERS,
        cv=KFold(5, shuffle=True, random_state=random_state),
        # of seven sets and three splits; "one_se" is behind by 0.012 nats a row in held-out folds
        # and 0.021 on test rows, and has fewer experts (benchmarks/LOG.md)
        rule="best",
        # Constant noise is better by 0.02 to 0.33 nats a row with 45 irrelevant columns of 50, and
        # worse on seven of the eight data sets where it was tried. A constant behavior is better by
        # 0.01 to 0.05 on diabetes and boston, where the Blend is ahead (benchmarks/LOG.md).
        alternatives={"behavior_features": [[]], "noise_features": [[]], "noise": ["student_t"]},
        max_rows=_MAX_ROWS,
        n_jobs=n_jobs,
        progress_bar=progress_bar,
    )
