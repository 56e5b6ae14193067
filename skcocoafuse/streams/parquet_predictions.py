"""Predictions of a Parquet dataset, written batch by batch."""

import os
from contextlib import contextmanager, suppress

import pyarrow as pa
import pyarrow.parquet as pq

from skcocoafuse._validation import check_count, check_probability
from skcocoafuse.predictive.prediction import predict_dist
from skcocoafuse.streams.parquet import batches_of, dataset_of


def predict_to_parquet(
    estimator, source, path, coverage: float | None, keep: list[str], batch_rows: int
) -> int:
    """See :func:`skcocoafuse.predict_to_parquet`."""
    if coverage is not None:
        check_probability(coverage, "coverage")
    dataset, batch_rows = dataset_of(source), check_count(batch_rows, "batch_rows")
    names = _features_of(estimator)
    missing = [name for name in [*names, *keep] if name not in dataset.schema.names]
    if missing:
        raise ValueError(f"The dataset has no columns {missing}; it has {dataset.schema.names}.")
    schema = pa.schema([*(dataset.schema.field(name) for name in keep), *_predicted(coverage)])
    columns, n_rows = list(dict.fromkeys([*names, *keep])), 0
    with _complete(path) as unfinished, pq.ParquetWriter(unfinished, schema) as writer:
        for batch in batches_of(dataset, columns, batch_rows):
            dist = predict_dist(estimator, batch.select(names).to_pandas())
            found = [*dist.mean_and_std(), *(() if coverage is None else dist.interval(coverage).T)]
            kept = [batch.column(name) for name in keep]
            writer.write_batch(pa.record_batch([*kept, *map(pa.array, found)], schema=schema))
            n_rows += batch.num_rows
    return n_rows


@contextmanager
def _complete(path):
    """A name to write to, given its own name at the end; removed if there is an exception."""
    path = os.fspath(path)
    unfinished = path + ".part"
    try:
        yield unfinished
        os.replace(unfinished, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(unfinished)
        raise


def _predicted(coverage: float | None) -> list[pa.Field]:
    names = ["mean", "std", *(() if coverage is None else ("lower", "upper"))]
    return [pa.field(name, pa.float64()) for name in names]


def _features_of(estimator) -> list[str]:
    if not hasattr(estimator, "feature_names_in_"):
        raise ValueError(
            f"This {type(estimator).__name__} was fitted without names of columns, so those of a "
            "dataset cannot be assigned. Fit it to a DataFrame or to a Parquet dataset."
        )
    return list(estimator.feature_names_in_)
