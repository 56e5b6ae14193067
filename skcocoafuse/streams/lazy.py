"""Predictions of Dask collections: lazy, partition by partition."""

from collections.abc import Callable

import dask.array as da
import numpy as np
from dask import delayed

from skcocoafuse._validation import is_dask
from skcocoafuse.streams.cluster import blocks_like, blocks_of


def by_partition(method: Callable, estimator, X, arguments: tuple, options: dict):
    """The method of every partition of X, and of the same rows of other collections.

    Returns
    -------
    dask.array.Array, dask.dataframe.DataFrame, or tuple of these
        As the method returns arrays, frames or tuples of them; sizes of chunks are unknown where
        those of X are.
    """
    blocks, rows = blocks_of(X)
    own = {k: blocks_like(a, X, blocks, "y") for k, a in enumerate(arguments) if is_dask(a)}
    named = {k: blocks_like(a, X, blocks, k) for k, a in options.items() if is_dask(a)}
    zeros = np.zeros(len(rows))
    example = method(
        estimator,
        rows,
        *(zeros if k in own else argument for k, argument in enumerate(arguments)),
        **{k: zeros if k in named else option for k, option in options.items()},
    )
    shared, call = delayed(estimator), delayed(_of_block, pure=False)
    parts = [
        call(
            method.__name__,
            shared,
            block,
            *(own[k][number] if k in own else a for k, a in enumerate(arguments)),
            **{k: named[k][number] if k in named else o for k, o in options.items()},
        )
        for number, block in enumerate(blocks)
    ]
    if isinstance(example, tuple):
        return tuple(
            _collection([part[k] for part in parts], each, X) for k, each in enumerate(example)
        )
    return _collection(parts, example, X)


def _of_block(name: str, estimator, block, *arguments, **options):
    return getattr(estimator, name)(block, *arguments, **options)


def _collection(parts: list, example, X):
    """Delayed results of all partitions, of the kind of an example, as a collection."""
    if hasattr(example, "iloc"):
        import dask.dataframe as dd

        divisions = {"divisions": X.divisions} if hasattr(X, "divisions") else {}
        return dd.from_delayed(parts, meta=example.iloc[:0], verify_meta=False, **divisions)
    sizes = X.chunks[0] if isinstance(X, da.Array) else [np.nan] * len(parts)
    arrays = [
        da.from_delayed(part, shape=(size, *example.shape[1:]), dtype=example.dtype)
        for part, size in zip(parts, sizes, strict=True)
    ]
    return da.concatenate(arrays, allow_unknown_chunksizes=True)
