"""The choices a fit makes beyond running chains, in one record with their reasons."""

from dataclasses import dataclass

from skcocoafuse.inference.engine import Settings
from skcocoafuse.inference.nuts.remedies import REMEDIES, Remedy


@dataclass(frozen=True)
class Method:
    """How chains start and the remedies, each of which can be left out.

    An argument of :func:`skcocoafuse.inference.nuts.sampler.sample` that no estimator exposes:
    ``benchmarks/ablation.py`` removes one part at a time and measures the cost.
    """

    # Log mass below the largest at which a mode still gets chains: a twentieth. Not compared.
    comparable_mass: float = 3.0
    # Steps of a pilot trajectory up to which the first run already takes shorter steps, which
    # saves the second run that 39 of 40 transition data sets needed.
    cheap_steps: float = 20.0
    # 127 steps; one more depth for shorter steps. On diabetes depth 10 took 2.5 to 3.4 times as
    # long as 8 and mixed no better; 7 takes half as long where trajectories are cut off (Energy,
    # Boston), for the same test density (mean of 30 fits 1.219, 1.211 with 8).
    maxdepth: int = 7
    # Gradients that a fit may take with its remedies, per draw and warm-up draw of all chains, and
    # gradients times rows: with the default numbers of draws 9e5 and 6.6e8, about 45 s on two
    # cores.
    # Without any remedy the mean test density of 30 fits is worse by 0.003 (standard error 0.004).
    gradients_per_draw: float = 150.0
    row_gradients_per_draw: float = 1.1e5
    remedies: tuple[Remedy, ...] = REMEDIES

    def max_gradients(self, settings: Settings, n_rows: int) -> float:
        """Gradients that remedies may bring a fit to."""
        if "max_gradients" in settings.options:
            return settings.options["max_gradients"]
        n_draws = settings.chains * (settings.draws + settings.tune)
        return n_draws * min(self.gradients_per_draw, self.row_gradients_per_draw / n_rows)


METHOD = Method()
