"""How the posterior is found: a registry of engines with one signature.

An engine takes a :class:`~skcocoafuse.model.problem.Problem` and
:class:`~skcocoafuse.inference.engine.Settings` and returns an
:class:`~skcocoafuse.inference.engine.EngineResult`. To add one, write a module with
that function and name it in ``_ENGINES``.
"""

from functools import wraps
from importlib import import_module

from skcocoafuse._blas import one_thread_of_blas
from skcocoafuse.inference.engine import Engine, EngineResult, Settings

_ENGINES = {
    "nuts": "skcocoafuse.inference.nuts",
    "pymc": "skcocoafuse.inference.pymc_sampler",
    "laplace": "skcocoafuse.inference.laplace",
    "advi": "skcocoafuse.inference.advi",
    "map": "skcocoafuse.inference.maximum",
}
ENGINE_NAMES = tuple(_ENGINES)

__all__ = ["ENGINE_NAMES", "Engine", "EngineResult", "Settings", "get_engine"]


def get_engine(name: str) -> Engine:
    """The engine's function; its compiled parts load here, on first use.

    It has one thread of BLAS. How many there are decides how matrix products round, and by that
    where chains are after a few hundred steps, so a seed would not give the same fit with others.
    """
    sample = import_module(_ENGINES[name]).sample

    @wraps(sample)
    def with_one_thread_of_blas(problem, settings):
        with one_thread_of_blas():
            return sample(problem, settings)

    return with_one_thread_of_blas
