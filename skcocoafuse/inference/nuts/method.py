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
    # 255 steps. On diabetes with 3 and 4 experts depth 10 (at target_accept 0.95) took 2.5 to 3.4
    # times as long as depth 8 (at 0.9) and mixed no better. Depth 7 halves the time on Energy and
    # Boston with five experts, but leaves no room for shorter steps, and on diabetes with four
    # experts R-hat was 1.07 with it and 1.04 with 8, for as many gradients.
    maxdepth: int = 8
    # Gradients that a fit may take with its remedies, per draw and warm-up draw of all chains, and
    # gradients times rows: with the default numbers of draws 1.5e6 and 9e8, 45 s on two cores.
    # Without any remedy the test density of Concrete, Energy and Boston with five experts is as
    # good (mean difference -0.01).
    gradients_per_draw: float = 250.0
    row_gradients_per_draw: float = 1.5e5
    remedies: tuple[Remedy, ...] = REMEDIES

    def max_gradients(self, settings: Settings, n_rows: int) -> float:
        """Gradients that remedies may bring a fit to."""
        if "max_gradients" in settings.options:
            return settings.options["max_gradients"]
        n_draws = settings.chains * (settings.draws + settings.tune)
        return n_draws * min(self.gradients_per_draw, self.row_gradients_per_draw / n_rows)


METHOD = Method()
