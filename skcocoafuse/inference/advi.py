"""PyMC's variational inference: one Normal distribution, fitted by stochastic gradients."""

import numpy as np
from scipy import stats

from skcocoafuse._threads import raise_if_cancelled
from skcocoafuse.compiled.kernel import Kernel
from skcocoafuse.inference import mode_search
from skcocoafuse.inference.engine import EngineResult, Settings, Stopwatch
from skcocoafuse.inference.importance import resample, uncorrected
from skcocoafuse.inference.progress import progress_bar
from skcocoafuse.inference.pymc_sampler import model_alone, unconstrained
from skcocoafuse.model.problem import Problem
from skcocoafuse.model.pymc_model import free_variables
from skcocoafuse.posterior.monte_carlo import MAX_PARETO_K

_METHODS = ("fullrank_advi", "advi")
_BROKEN_REWRITE = "fuse_indexed_into_elemwise"  # PyTensor 3.2 cannot compile one expert with it
_POOL = 4  # proposals per kept draw
_STEP = 5e-3  # of PyMC's Adam; with its default, scales of sharp posteriors do not converge


def sample(problem: Problem, settings: Settings) -> EngineResult:
    """Draws from the Normal nearest to the posterior in Kullback-Leibler divergence.

    ``inference_options``: ``method``, "fullrank_advi" (default) or "advi" (mean field), and
    ``n``, the number of iterations (default 20 000). Starts at the best mode. If the
    Pareto k-hat allows it, the draws are corrected by importance weights.
    """
    import pymc as pm
    from pytensor.compile.mode import get_default_mode

    method = settings.options.get("method", _METHODS[0])
    if method not in _METHODS:
        raise ValueError(f"method must be one of {list(_METHODS)}; got {method!r}.")
    rng = np.random.default_rng(settings.seed)
    kernel = Kernel(problem)
    watch = Stopwatch()
    mode = mode_search.begin(kernel, settings, rng)[0]
    watch.lap("optimization")
    n_kept = settings.chains * settings.draws
    n_steps = settings.options.get("n", 20_000)
    bar = progress_bar(settings.progress_bar, "fitting", n_steps)  # PyMC's is on stdout
    with model_alone(problem, settings), bar as step:
        approximation = pm.fit(
            n=n_steps,
            method=method,
            start=free_variables(problem.spec, mode.theta),
            random_seed=int(rng.integers(2**31)),
            obj_optimizer=pm.adam(learning_rate=_STEP),
            progressbar=False,
            callbacks=[lambda *_: step(), lambda *_: raise_if_cancelled()],
            compile_kwargs={"mode": get_default_mode().excluding(_BROKEN_REWRITE)},
        )
        trace = approximation.sample(_POOL * n_kept, random_seed=int(rng.integers(2**31)))
        moments = approximation.mean.eval(), approximation.cov.eval()
    pool = unconstrained(problem, trace.posterior)[0]
    normal = stats.multivariate_normal(*moments, allow_singular=True)
    log_posterior = kernel.log_posterior(pool)
    chosen, pareto_k = resample(log_posterior, normal.logpdf(pool), n_kept, MAX_PARETO_K, rng)
    if chosen is None:
        chosen = uncorrected(log_posterior, n_kept)
    shape = (settings.chains, settings.draws)
    watch.lap("fitting")
    return EngineResult(
        theta=pool[chosen].reshape(*shape, -1),
        log_posterior=log_posterior[chosen].reshape(shape),
        seconds=watch.seconds,
        info={"pareto_k": pareto_k},
        independent=True,
    )
