"""Seconds and memory of fits to many rows: arrays, memory maps, Parquet, Dask.

Run: python benchmarks/many_rows.py [--rows 100000 1000000] [--where memory memmap parquet dask]
[--engine map] [--workers 2] [--partitions 2] [--folder DIR] [--repeats 1]. 4 experts, 10 columns of
float32, two switches; every fit is a process of its own, whose memory is that beyond imports, a
small fit and the arrays themselves. `--pass` measures passes alone: a value and a gradient of all
rows.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np

_CHUNK, _COLUMNS, _NOISE = 500_000, 10, 0.3
_MEMORY = "/proc/self/statm"


def make_chunk(number: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A part of the rows, the same whoever asks for it."""
    rng = np.random.default_rng(number)
    X = rng.normal(size=(n, _COLUMNS)).astype(np.float32)
    middle = np.where(X[:, 0] > 0.3, 2 + 1.5 * X[:, 1], 0.3 * X[:, 1])
    mean = np.where(X[:, 0] < -0.6, -1 - X[:, 2], middle)
    return X, mean + rng.normal(scale=_NOISE, size=n)


def chunks(n_rows: int):
    for number, start in enumerate(range(0, n_rows, _CHUNK)):
        yield number, min(_CHUNK, n_rows - start)


def write(n_rows: int, folder: Path) -> None:
    """X.npy, y.npy and rows.parquet in a folder, chunk by chunk."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float32, (n_rows, _COLUMNS))
    y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.float64, (n_rows,))
    names = [f"x{j}" for j in range(_COLUMNS)]
    schema = pa.schema([*((name, pa.float32()) for name in names), ("y", pa.float64())])
    with pq.ParquetWriter(folder / "rows.parquet", schema) as writer:
        for number, n in chunks(n_rows):
            part = slice(number * _CHUNK, number * _CHUNK + n)
            X[part], y[part] = make_chunk(number, n)
            arrays = [pa.array(column) for column in X[part].T]
            writer.write_table(pa.table([*arrays, pa.array(y[part])], schema=schema))


def resident() -> float:
    return int(Path(_MEMORY).read_text().split()[1]) * 4096 / 1e9


def run(n_rows, where, engine, folder, workers, partitions, passes) -> dict:
    """One fit; seconds, memory in GB."""
    from skcocoafuse import CoCoAFusERegressor

    warnings.simplefilter("ignore")

    def model():
        return CoCoAFusERegressor(4, inference=engine, random_state=0)

    mode = None if where in ("memory", "copies") else "r"
    given = [np.load(folder / f"{name}.npy", mmap_mode=mode) for name in "Xy"]
    small = [np.array(part[:3000]) for part in given]
    if where == "parquet":
        given = [folder / "rows.parquet", "y"]
    cluster = None
    if where == "dask":
        import dask.array as da
        from distributed import Client, LocalCluster

        cluster = LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
        )
        Client(cluster)
        size = -(-n_rows // (partitions or workers))
        X = da.from_array(given[0], chunks=(size, -1)).persist()
        y = da.from_array(given[1], chunks=size).persist()
        given = [X, y]
        model().fit(X[:3000], y[:3000])
    model().fit(*small)  # loads machine code
    if passes:
        return {"seconds": seconds_of_a_pass(model(), given)}
    before, peak, done = resident(), [0.0], threading.Event()

    def watch():
        while not done.wait(0.02):
            peak[0] = max(peak[0], resident())

    watching = threading.Thread(target=watch)
    watching.start()
    begun = time.perf_counter()
    fitted = model().fit(*given)
    seconds = time.perf_counter() - begun
    done.set()
    watching.join()
    if cluster is not None:
        cluster.close()
    level = float(fitted.posterior_.log_posterior.mean())
    return {"seconds": seconds, "GB": peak[0] - before, "log_posterior": level}


def seconds_of_a_pass(model, given, n_passes: int = 10) -> float:
    """Median seconds of a value and a gradient of all rows."""
    from skcocoafuse import streams
    from skcocoafuse.compiled.kernel import Kernel

    with streams.table_of(*given, None, model._selections(), model.inference) as table:
        posed = model._pose(*given, None) if table is None else model._pose_in_parts(table)
        density = Kernel(posed.problem).function()
        at, found = 0.1 * np.ones(posed.problem.spec.n_parameters), []
        for _ in range(n_passes + 1):
            begun = time.perf_counter()
            density(at)
            found.append(time.perf_counter() - begun)
    return float(np.median(found[1:]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", type=float, default=[1e5, 1e6])
    parser.add_argument("--where", nargs="+", default=["memory", "memmap", "parquet", "dask"])
    parser.add_argument("--engine", default="map")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--partitions", type=int, default=0, help="0: one per worker")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--pass", action="store_true", dest="passes")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        (n_rows,), (where,) = arguments.rows, arguments.where
        found = run(
            int(n_rows), where, arguments.engine, arguments.folder, arguments.workers,
            arguments.partitions, arguments.passes,
        )  # fmt: skip
        print(json.dumps(found))
        raise SystemExit
    for n_rows in arguments.rows:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            write(int(n_rows), Path(folder))
            for _ in range(arguments.repeats):
                for where in arguments.where:
                    command = [sys.executable, __file__, "--alone", "--folder", folder]
                    command += ["--rows", str(n_rows), "--where", where]
                    command += ["--engine", arguments.engine, "--workers", str(arguments.workers)]
                    command += ["--partitions", str(arguments.partitions)]
                    command += ["--pass"] if arguments.passes else []
                    said = subprocess.run(command, check=True, capture_output=True, text=True)
                    print(f"{n_rows:.0e} {where}", said.stdout.splitlines()[-1], flush=True)
