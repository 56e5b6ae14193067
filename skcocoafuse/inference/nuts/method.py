"""The choices a fit makes beyond running chains, in one record with their reasons."""

from dataclasses import dataclass

from skcocoafuse.inference.nuts.remedies import REMEDIES, Remedy


@dataclass(frozen=True)
class Method:
    """The stages of the search and the remedies, each of which can be left out.

    An argument of :func:`skcocoafuse.inference.nuts.sampler.sample` that no estimator exposes:
    ``benchmarks/ablation.py`` removes one part at a time and measures the cost.
    """

    # Alternating, so that pilot chains leave narrow modes on the tempered posterior and are drawn
    # to mass on the posterior itself; on Energy and Concrete as good as 0.2 alone and better than 1
    # alone. If empty, there are no pilot chains.
    likelihood_powers: tuple[float, ...] = (0.2, 1.0)
    # For each power. Most searches stop earlier; six rounds take 20 to 30 s on Energy and Concrete.
    max_rounds: int = 4
    # Modes from which two pilot chains start, so 8 short chains per round. Not compared.
    n_pilots: int = 4
    # Log mass below the largest at which a mode still gets chains: a twentieth. Not compared.
    comparable_mass: float = 3.0
    # Steps of a pilot trajectory up to which the first run already takes shorter steps, which
    # saves the second run that 39 of 40 transition data sets needed.
    cheap_steps: float = 20.0
    # 255 steps. On diabetes with 3 and 4 experts depth 10 (at target_accept 0.95) took 2.5 to 3.4
    # times as long as depth 8 (at 0.9) and mixed no better.
    maxdepth: int = 8
    remedies: tuple[Remedy, ...] = REMEDIES


METHOD = Method()
