"""Mixtures of many rows, a block of rows at a time: bounded memory, several threads."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from joblib import effective_n_jobs

from skcocoafuse._threads import in_threads
from skcocoafuse.compiled.layout import layout_of, natural_parameters
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.parameters import PARTS, Parameters
from skcocoafuse.model.problem import row_blocks
from skcocoafuse.model.rows import TILE_ROWS, in_tiles
from skcocoafuse.model.spec import ModelSpec

MAX_MEMORY = 256 * 2**20  # bytes
_ROWS = 1024  # at most, in blocks that numpy works on
_ARRAYS = 6  # of (rows, draws, experts), alive at once inside a block


class VarianceParts(NamedTuple):
    """Where the variance of each row comes from; the three add up to it. Arrays (rows,).

    ``noise``: around the fused experts. ``between_experts``: of the fused experts' means, in a
    draw. ``parameters``: of the predictive mean, from draw to draw.
    """

    noise: np.ndarray
    between_experts: np.ndarray
    parameters: np.ndarray

    def total(self) -> np.ndarray:
        """The variance itself."""
        return self.noise + self.between_experts + self.parameters


class MixtureBlocks:
    """The Normal mixtures that posterior draws make of rows, in original units.

    Parameters
    ----------
    spec : ModelSpec
    parameters : Parameters
        Arrays with one leading draw axis, on the standardised scale.
    draw_weight : ndarray of shape (draws,)
        Part of each draw, summing to one.
    loc, scale : float
        Target = loc + scale * standardised target.
    n_jobs : int or None
        Threads; as everywhere in scikit-learn.
    max_memory : int
        Bytes that all threads together may use for blocks. One row is always taken.
    """

    def __init__(
        self,
        spec: ModelSpec,
        parameters: Parameters,
        draw_weight: np.ndarray,
        loc: float,
        scale: float,
        n_jobs: int | None,
        max_memory: int,
    ):
        self.spec = spec
        self.parameters = parameters
        self.draw_weight = draw_weight
        self.loc, self.scale = loc, scale
        self.n_jobs, self.max_memory = n_jobs, max_memory
        n_draws, n_experts = parameters.sigma.shape
        self.bytes_per_row = 8 * _ARRAYS * n_draws * n_experts
        self._draws = natural_parameters(parameters)
        self._layout = layout_of(spec)

    def changed(self, **changes) -> "MixtureBlocks":
        """The same but for some arguments."""
        names = ("spec", "parameters", "draw_weight", "loc", "scale", "n_jobs", "max_memory")
        arguments: dict[str, Any] = {name: getattr(self, name) for name in names}
        return MixtureBlocks(**(arguments | changes))

    def run(self, function: Callable, designs: dict[str, np.ndarray], most: int) -> None:
        """Call ``function(rows, designs)`` for blocks of at most ``most`` rows, on the threads."""
        workers = effective_n_jobs(self.n_jobs)
        size = max(1, min(most, int(self.max_memory / workers / self.bytes_per_row)))
        in_threads(lambda block: function(*block), row_blocks(designs, size), workers)

    def over_components(self, function: Callable, designs: dict[str, np.ndarray]) -> None:
        """Call ``function(rows, weight, mean, sd)`` for blocks of rows.

        The arrays are (rows, draws * experts), and are used again for the next block; weights of a
        row sum to one.
        """
        from skcocoafuse.compiled import fused_mixture

        n_draws, n_experts = self.parameters.sigma.shape
        of_thread = threading.local()  # fresh memory costs as much as the sums on it

        def block(rows, part):
            n_rows = rows.stop - rows.start
            if getattr(of_thread, "rows", 0) < n_rows:
                of_thread.rows = n_rows
                of_thread.memory = np.empty((3, n_rows, n_experts, n_draws))
            weight, mean, variance = of_thread.memory[:, :n_rows]
            padded = _one_tile(part)
            fused_mixture.components(
                self._draws, self.draw_weight, padded, self._layout, weight, mean, variance
            )
            mean *= self.scale
            mean += self.loc
            sd = np.sqrt(variance, out=variance)
            sd *= self.scale
            function(rows, *(a.reshape(n_rows, -1) for a in (weight, mean, sd)))

        self.run(block, designs, TILE_ROWS)

    def over_draws(self, function: Callable, designs: dict[str, np.ndarray]) -> None:
        """Call ``function(rows, mixture, weight)`` for blocks of rows.

        The mixture is that of single draws, (draws, rows, experts), standardised; ``weight`` is
        that of the draws, (draws, 1).
        """

        def block(rows, part):
            mixture = mixture_of(self.spec, self.parameters, part)
            function(rows, mixture, self.draw_weight[:, None])

        self.run(block, designs, _ROWS)

    def moments(self, designs: dict[str, np.ndarray]) -> np.ndarray:
        """Mean, noise, between-expert and parameter variance of every row, (4, rows)."""
        from skcocoafuse.compiled import fused_mixture

        out = np.empty((4, len(designs["expert"])))

        def block(rows, part):
            found = np.empty((4, TILE_ROWS))
            padded = _one_tile(part)
            fused_mixture.moments(self._draws, self.draw_weight, padded, self._layout, found)
            out[:, rows] = found[:, : rows.stop - rows.start]

        self.run(block, designs, TILE_ROWS)
        out[0] = self.loc + self.scale * out[0]
        out[1:] *= self.scale**2
        return out


def _one_tile(designs: dict[str, np.ndarray]) -> np.ndarray:
    """Designs of at most TILE_ROWS rows, as compiled loops take them."""
    return in_tiles(*(designs[part] for part in PARTS))[0]
