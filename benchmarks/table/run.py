"""Run contestants on splits of data sets, each in a process of its own, and append rows to a CSV.

Run: python -m benchmarks.table.run DATA_FOLDER --out results.csv [--sets ...]
[--contestants ...] [--splits 3] [--first-split 0] [--limit 1800]. Without DATA_FOLDER, familiar
sets come from OpenML. Rows that are in the file are not run again, so the same command continues
after an interruption. Set-ups that are chosen on training rows are kept beside the file, in
``results-choices/``.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.table import results
from benchmarks.table.contestants import CONTESTANTS
from benchmarks.table.datasets import FAMILIAR, MAX_SPLITS, SETS, load
from benchmarks.table.splits import split as rows_of_split

LIMIT = 1800.0  # seconds of a contestant
_ROOT = Path(__file__).parents[2]


def in_process(arguments: list[str], limit: float) -> dict:
    """The JSON that ``benchmarks.table.one`` prints last, or what went wrong as ``error``."""
    command = [sys.executable, "-m", "benchmarks.table.one", *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _stop(process)
        return {"error": f"{results.TIMED_OUT}: {limit:g} s"}
    except BaseException:
        _stop(process)
        raise
    if process.returncode:
        said = errors.strip().splitlines()
        return {"error": said[-1][:300] if said else f"exit code {process.returncode}"}
    return json.loads(out.splitlines()[-1])


def _stop(process: subprocess.Popen) -> None:
    """Kill it and the processes it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def choice_of(name: str, number: int, regressor: str, options) -> tuple[Path, dict]:
    """File and contents of a set-up; chosen now if the file is not there."""
    folder = options.out.with_name(f"{options.out.stem}-choices")
    path = folder / f"{name}-{number}-{regressor}.json"
    if path.exists():
        return path, json.loads(path.read_text())
    found = in_process([name, str(number), regressor, "--choose", *_folder(options)], options.limit)
    if "error" not in found:
        folder.mkdir(exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(found, indent=1))
        partial.replace(path)
    return path, found


def _folder(options) -> list[str]:
    return ["--folder", str(options.folder)] if options.folder else []


def run_one(name: str, number: int, contestant: str, options) -> dict:
    """The row of a contestant on a split; what went wrong, if anything, is in ``error``."""
    row = {"set": name, "split": number, "contestant": contestant}
    row |= circumstances(CONTESTANTS[contestant].package)
    regressor, arguments = CONTESTANTS[contestant].regressor, []
    if regressor:
        path, choice = choice_of(name, number, regressor, options)
        if "error" in choice:
            return row | {"error": f"{choice['error']} (choosing)"}
        row |= {key: choice[key] for key in ("choose_seconds", "choose_cpu_seconds")}
        params = choice["params"]
        row |= {"n_experts": params["n_experts"], "choice": json.dumps(params)}
        arguments = ["--choice", str(path)]
    arguments = [name, str(number), contestant, *_folder(options), *arguments]
    return row | in_process(arguments, options.limit)


def circumstances(package: str) -> dict:
    """Versions, machine and date."""
    return {
        "version": importlib.metadata.version("skcocoafuse"),
        "peer": package,
        "peer_version": _version(package),
        "python": platform.python_version(),
        "cpu": _cpu(),
        "cores": os.process_cpu_count() if sys.version_info >= (3, 13) else os.cpu_count(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""  # its row says that it could not be imported


def _cpu() -> str:
    """Model of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def takes_part(contestant: str, name: str, n_train: int) -> bool:
    """Whether a contestant runs on a set of this size."""
    row = CONTESTANTS[contestant]
    return (row.sets is None or name in row.sets) and (
        row.max_rows is None or n_train <= row.max_rows
    )


def schedule(options) -> list[tuple[str, int, str]]:
    """What to run, in order: split by split, small sets first."""
    done, inputs, jobs = results.finished(options.out), {}, []
    for number in range(options.first_split, options.first_split + options.splits):
        for name in (name for name in SETS if name in options.sets):
            if number >= SETS[name].max_splits:
                continue
            if name not in inputs:
                inputs[name] = load(name, options.folder)[0]
            n_train = len(rows_of_split(inputs[name], number)[0])
            jobs += [
                (name, number, contestant)
                for contestant in options.contestants
                if (name, str(number), contestant) not in done
                and takes_part(contestant, name, n_train)
            ]
    return jobs


def _absolute(path: str) -> Path:
    return Path(path).resolve()


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=_absolute, nargs="?")
    parser.add_argument("--out", type=_absolute, required=True)
    parser.add_argument("--sets", nargs="+", default=list(FAMILIAR), choices=SETS)
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS), choices=CONTESTANTS)
    parser.add_argument("--splits", type=int, default=MAX_SPLITS)
    parser.add_argument("--first-split", type=int, default=0)
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds of a contestant")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    options = parse(argv)
    jobs = schedule(options)
    for position, (name, number, contestant) in enumerate(jobs, 1):
        row = run_one(name, number, contestant, options)
        results.append(options.out, row)
        said = row.get("error") or f"nll {row.get('nll', float('nan')):.3f}"
        seconds = row.get("fit_seconds", float("nan"))
        print(
            f"{position}/{len(jobs)} {name} {number} {contestant}: {said}, {seconds:.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    # as Ctrl-C does: the contestant ends too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    main()
