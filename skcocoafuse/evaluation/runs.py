"""Several fits in parallel."""

import warnings
from contextlib import nullcontext

from joblib import Parallel, cpu_count, delayed, effective_n_jobs
from sklearn import config_context, get_config

from skcocoafuse._blas import one_thread_of_blas
from skcocoafuse._threads import SHARES_CORES, Work, raise_if_cancelled
from skcocoafuse._validation import cores_for
from skcocoafuse.inference import samples_posterior, several_threads


class Runs:
    """Runs fits in parallel, with a step of the progress bar after each; results are in order.

    Where joblib has no other default, ``n_jobs=None`` means all cores, in the way that uses them
    best: engines that sample the posterior run the chains of one fit at the same time, others
    several fits.
    """

    def __init__(self, estimator, n_jobs: int | None, step):
        self.step = step
        engines = [
            value
            for name, value in estimator.get_params().items()
            if name.rpartition("__")[2] == "inference"
        ]
        # compiled code runs without the interpreter's lock, and threads need not import anything
        self.prefer = "threads" if all(map(several_threads, engines)) else "processes"
        alone = bool(engines) and not any(map(samples_posterior, engines))
        if n_jobs is None and alone and self.prefer == "threads" and effective_n_jobs(None) == 1:
            n_jobs = cores_for(None, cpu_count())
        self.n_jobs = n_jobs

    def skip(self, n_fits: int) -> None:
        """Count fits that need not be run as done."""
        for _ in range(n_fits):
            self.step()

    def __call__(self, function, tasks: list[tuple]) -> list:
        """Results of ``function`` for the arguments of each task, in order."""
        # joblib's own: each task of scikit-learn's changes the warning filters of the whole process
        done, config = [], get_config()
        parallel = Parallel(n_jobs=self.n_jobs, prefer=self.prefer, return_as="generator")
        # joblib keeps BLAS from starting more threads than there are cores in processes only
        several = effective_n_jobs(self.n_jobs) > 1
        # scikit-learn's array checks change warning filters temporarily; if these overlap in
        # threads, filters they leave changed are restored here, in the caller's thread
        blas = one_thread_of_blas() if several else nullcontext()
        with warnings.catch_warnings(), blas, Work() as work:
            task = work.task(_configured)  # joblib's threads keep running after an interrupt
            for result in parallel(delayed(task)(config, several, function, *t) for t in tasks):
                done.append(result)
                self.step()
        raise_if_cancelled()
        return done


def _configured(config, several, function, *task):
    before = SHARES_CORES.set(several or SHARES_CORES.get())
    try:
        with config_context(**config):
            return function(*task)
    finally:
        SHARES_CORES.reset(before)
