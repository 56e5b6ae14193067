"""Random splits into 90% training and 10% test rows, by groups of rows with equal inputs."""

import numpy as np
import pandas as pd

TEST_SHARE = 0.1


def split(X: pd.DataFrame, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows of a split.

    Rows with equal inputs, and so all repeated rows, are on the same side: a model that remembers
    rows gains nothing.

    Parameters
    ----------
    X : DataFrame of shape (n_samples, n_features)
    number : int
        Of the split, its seed.

    Returns
    -------
    train, test : ndarray of int
        In random order. The test rows are at least a tenth, and fewer without the last group.
    """
    rng = np.random.default_rng(number)
    group = X.groupby(list(X.columns), sort=False).ngroup().to_numpy()
    shuffled = rng.permutation(group.max() + 1)
    up_to = np.cumsum(np.bincount(group)[shuffled])
    n_test_groups = 1 + np.searchsorted(up_to, TEST_SHARE * len(X))
    in_test = np.isin(group, shuffled[:n_test_groups])
    order = rng.permutation(len(X))
    return order[~in_test[order]], order[in_test[order]]
