"""Loading within bounds of time and memory, and what came of it."""

import faulthandler
import json
import os
import resource
import sys
import warnings
from contextlib import contextmanager

import numpy as np

from skcocoafuse import load

SECONDS = 5  # that loading may take
_MEMORY = 2 * 2**30  # bytes of data that the process may have: the files are of a tenth of a MB


def bound() -> None:
    """Limit the memory of this process from here on, and end it if it starts another."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    sys.addaudithook(_starts_nothing)
    warnings.simplefilter("ignore")


def _starts_nothing(event, arguments) -> None:
    if event in ("os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"):
        sys.stderr.write(f"{event} {arguments}")
        os._exit(1)  # an exception could be caught


@contextmanager
def watchdog():
    """End the process, with a traceback, if the block takes longer; deaf C code as well."""
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def outcome(path) -> tuple[str, object]:
    """ "loaded" and the model, or "refused" and what the ValueError says; others are raised."""
    try:
        with watchdog():
            return "loaded", load(path)
    except ValueError as error:
        if "MemoryError" in str(error):  # too late: others of the machine had none either
            raise RuntimeError("memory was spent on a file that is refused") from error
        return "refused", str(error)


def content(model) -> str:
    """All that a model holds, to be compared."""
    fit = model.fitted_
    arrays = {**fit.problem.designs, "y": fit.problem.y, "weight": fit.problem.weight}
    arrays |= {name: a for name, a in fit.posterior.parameters._asdict().items() if a is not None}
    arrays |= {"log_posterior": fit.posterior.log_posterior, **fit.posterior.stats}
    for part, design in fit.posed.designs.items():
        arrays |= {f"loc {part}": design.scale.loc, f"scale {part}": design.scale.scale}
        arrays |= {f"{part} {j}": np.array(name) for j, name in enumerate(design.names)}
    said = {name: repr(np.asarray(a).tobytes()) for name, a in arrays.items()}
    random_state = model.random_state
    if isinstance(random_state, np.random.RandomState):
        random_state = str(random_state.get_state())
    parameters = {**model.get_params(deep=False), "random_state": random_state}
    said |= {f"{name}=": repr(value) for name, value in parameters.items()}
    posterior = fit.posterior
    with np.printoptions(precision=17, threshold=sys.maxsize):
        said["rest"] = repr(
            (fit.target, fit.diagnostics, posterior.clusters, posterior.cluster_weight)
        )
    return json.dumps(said, sort_keys=True)
