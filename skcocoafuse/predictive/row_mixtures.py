"""Mixtures of many rows given posterior draws, computed in chunks of rows."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skcocoafuse._cached import cached_property
from skcocoafuse.compiled.layout import layout_of, natural_parameters
from skcocoafuse.model.chunks import map_chunks
from skcocoafuse.model.mixtures import mixture_of
from skcocoafuse.model.parameters import Parameters
from skcocoafuse.model.rows import TILE_ROWS, designs_in_tiles
from skcocoafuse.model.spec import ModelSpec
from skcocoafuse.predictive.mixture import Mixtures

# Maximum number of rows in a chunk for numpy: with a few thousand rows every thread gets some, and
# the overhead of numpy per chunk is negligible for 1024 rows.
_ROWS = 1024
# Arrays of (rows, draws * experts) that compiled sums have alive at once: weights, means and sds,
# and the results of a function.
_ARRAYS = 6


class VarianceParts(NamedTuple):
    """Variance of each row decomposed by source; the three sum to it. Arrays (rows,).

    ``noise``: around the fused experts. ``between_experts``: of the fused experts' means, within a
    draw. ``parameters``: of the predictive mean, between draws.
    """

    noise: np.ndarray
    between_experts: np.ndarray
    parameters: np.ndarray

    def total(self) -> np.ndarray:
        """The total variance."""
        return self.noise + self.between_experts + self.parameters


class RowMixtures:
    """The mixtures of rows given posterior draws, in original units.

    Parameters
    ----------
    spec : ModelSpec
    parameters : Parameters
        Arrays with one leading draw axis, on the standardized scale.
    draw_weight : ndarray of shape (draws,)
        Weight of each draw, summing to one.
    loc, scale : float
        Target = loc + scale * standardized target.
    n_jobs : int or None
        Number of threads, as in scikit-learn.
    max_memory : int, optional
        Memory limit in bytes for the chunks of all threads, as in :func:`map_chunks`.
    """

    def __init__(
        self,
        spec: ModelSpec,
        parameters: Parameters,
        draw_weight: np.ndarray,
        loc: float,
        scale: float,
        n_jobs: int | None,
        max_memory: int | None = None,
    ):
        self.spec = spec
        self.parameters = parameters
        self.draw_weight = draw_weight
        self.loc, self.scale = loc, scale
        self.n_jobs, self.max_memory = n_jobs, max_memory
        self._draws = natural_parameters(parameters)
        self._layout = layout_of(spec)

    @cached_property
    def t_table(self) -> np.ndarray | None:
        """The table of the draws' Student's t; None for Normal noise."""
        from skcocoafuse.compiled import tails

        df = self.parameters.noise_df
        return None if df is None else tails.t_table(df)

    @cached_property
    def noise_weight(self) -> np.ndarray:
        """Weight of each draw times the variance of its noise over the squared scale, (draws,)."""
        weight, df = self.draw_weight, self.parameters.noise_df
        if df is None:
            return weight
        with np.errstate(divide="ignore", invalid="ignore"):  # infinite where there is no variance
            ratio = np.where(df > 2.0, df / (df - 2.0), np.inf)
            return np.where(weight > 0.0, weight * ratio, 0.0)

    def changed(self, **changes) -> "RowMixtures":
        """A copy with some arguments changed."""
        names = ("spec", "parameters", "draw_weight", "loc", "scale", "n_jobs", "max_memory")
        arguments: dict[str, Any] = {name: getattr(self, name) for name in names}
        return RowMixtures(**(arguments | changes))

    def run(self, function: Callable, designs: dict[str, np.ndarray], max_rows: int, **limits):
        """Call ``function(rows, designs)`` for chunks of at most ``max_rows``, on the threads."""
        limits |= {"max_rows": max_rows, "max_memory": self.max_memory}
        map_chunks(function, designs, self.parameters.sigma.size, n_jobs=self.n_jobs, **limits)

    def over_components(self, function: Callable, designs: dict[str, np.ndarray]) -> None:
        """Call ``function(rows, mixtures)`` for chunks of rows.

        The arrays of the :class:`~.mixture.Mixtures` are reused for the next chunk.
        """
        from skcocoafuse.compiled import fused_mixture

        n_draws, n_experts = self.parameters.sigma.shape
        table = self.t_table
        of_thread = threading.local()  # fresh memory costs as much as the sums on it

        def chunk(rows, part):
            n_rows = rows.stop - rows.start
            if getattr(of_thread, "rows", 0) < n_rows:
                of_thread.rows = n_rows
                of_thread.memory = np.empty((3, n_rows, n_experts, n_draws))
            weight, mean, variance = of_thread.memory[:, :n_rows]
            tiles, columns = designs_in_tiles(part)
            fused_mixture.components(
                self._draws, self.draw_weight, tiles[0], columns, self._layout,
                weight, mean, variance,
            )  # fmt: skip
            mean *= self.scale
            mean += self.loc
            scale = np.sqrt(variance, out=variance)
            scale *= self.scale
            flat = [a.reshape(n_rows, -1) for a in (weight, mean, scale)]
            function(rows, Mixtures(flat[0], flat[1], flat[2], table))

        self.run(chunk, designs, TILE_ROWS, n_arrays=_ARRAYS)

    def over_draws(self, function: Callable, designs: dict[str, np.ndarray]) -> None:
        """Call ``function(rows, mixture, weight)`` for chunks of rows.

        The mixture is that of individual draws, (draws, rows, experts), standardized; ``weight``
        is that of the draws, (draws, 1).
        """

        def chunk(rows, part):
            mixture = mixture_of(self.spec, self.parameters, part)
            function(rows, mixture, self.draw_weight[:, None])

        self.run(chunk, designs, _ROWS)

    def moments(self, designs: dict[str, np.ndarray]) -> np.ndarray:
        """Mean, and noise, between-expert and parameter variance of each row, (4, rows)."""
        from skcocoafuse.compiled import fused_mixture

        out = np.empty((4, len(designs["expert"])))

        def chunk(rows, part):
            found = np.empty((4, TILE_ROWS))
            tiles, columns = designs_in_tiles(part)
            fused_mixture.moments(
                self._draws, self.draw_weight, self.noise_weight, tiles[0], columns, self._layout,
                found,
            )  # fmt: skip
            out[:, rows] = found[:, : rows.stop - rows.start]

        self.run(chunk, designs, TILE_ROWS, n_arrays=_ARRAYS)
        out[0] = self.loc + self.scale * out[0]
        out[1:] *= self.scale**2
        return out
