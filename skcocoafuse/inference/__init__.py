"""How the posterior is inferred: a registry of engines with a common signature.

An engine takes a :class:`~skcocoafuse.model.problem.Problem` and
:class:`~skcocoafuse.inference.engine.Settings` and returns an
:class:`~skcocoafuse.inference.engine.EngineResult`. To add one, write a module with
that function and give it a row in ``ENGINES``.
"""

from functools import wraps
from importlib import import_module

from skcocoafuse._blas import one_thread_of_blas
from skcocoafuse.inference.engine import Engine, EngineResult, EngineRow, Settings, check_options

#: Everything known about an engine, by its name.
ENGINES = {
    "nuts": EngineRow(
        module="skcocoafuse.inference.nuts.sampler",
        samples_posterior=True,
        options=("maxdepth", "max_gradients"),
        words="samples a compiled kernel of the model with nutpie",
    ),
    "pymc": EngineRow(
        module="skcocoafuse.inference.pymc_sampler",
        samples_posterior=True,
        options=None,
        words="runs ``pm.sample`` on ``build_model`` (slower, same posterior)",
        several_threads=False,  # PyTensor's tables, and chains that fork next to other threads
    ),
    "short_chains": EngineRow(
        module="skcocoafuse.inference.nuts.short_chains",
        samples_posterior=True,
        options=(),
        words="is the same sampler, 100 draws from each of several modes, for predictions in a "
        "fraction of the time",
    ),
    "vi": EngineRow(
        module="skcocoafuse.inference.variational",
        samples_posterior=False,
        options=(),
        words="is variational inference: Normals fitted at several modes, their draws corrected "
        'by importance weights if these can be trusted (``diagnostics_["pareto_k"]``)',
        few_passes=True,
    ),
    "advi": EngineRow(
        module="skcocoafuse.inference.advi",
        samples_posterior=False,
        options=("method", "n"),
        words="is PyMC's variational inference",
        several_threads=False,
    ),
    "map": EngineRow(
        module="skcocoafuse.inference.map_estimate",
        samples_posterior=False,
        options=(),
        words="takes the best mode as the only draw, which is fast and ignores parameter "
        "uncertainty",
        few_passes=True,
    ),
}
ENGINE_NAMES = tuple(ENGINES)

__all__ = [
    "ENGINES",
    "ENGINE_NAMES",
    "Engine",
    "EngineResult",
    "EngineRow",
    "Settings",
    "get_engine",
    "samples_posterior",
    "several_threads",
]


def samples_posterior(name) -> bool:
    """Whether an engine's draws are those of the posterior; False for unknown names."""
    return name in ENGINE_NAMES and ENGINES[name].samples_posterior


def several_threads(name) -> bool:
    """Whether fits by an engine may run in several threads; True for unknown names."""
    return name not in ENGINE_NAMES or ENGINES[name].several_threads


def get_engine(name: str) -> Engine:
    """The engine's function, which rejects options that its row does not list.

    Its compiled parts are loaded here, on first use.

    It uses one BLAS thread. The number of threads determines how matrix products round, and
    thereby where chains are after a few hundred steps, so a seed would not reproduce a fit.
    """
    row = ENGINES[name]
    sample = import_module(row.module).sample

    @wraps(sample)
    def with_one_thread_of_blas(problem, settings):
        check_options(name, settings.options, row.options)
        with one_thread_of_blas():
            return sample(problem, settings)

    return with_one_thread_of_blas
