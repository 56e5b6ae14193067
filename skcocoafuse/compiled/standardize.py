"""Tiles of rows that are stored as they were given: standardized where they are needed."""

from collections.abc import Iterator

import numpy as np

from skcocoafuse._threads import raise_if_cancelled
from skcocoafuse.compiled.affine import OPTIONS, ROWS
from skcocoafuse.compiled.jit import njit
from skcocoafuse.model.chunks import slices
from skcocoafuse.model.parted import BLOCK_ROWS, RawRows
from skcocoafuse.model.rows import RowsInMemory, Tiles


@njit(**OPTIONS)
def _fill(out, values, columns, loc, scale):
    """Fill tiles (tiles, columns * ROWS) with standardized columns, and their end with zeros."""
    n = len(values)
    for tile in range(len(out)):
        own = out[tile]
        first = tile * ROWS
        most = min(ROWS, n - first)
        for j in range(columns.size):
            column, x = columns[j], own[j * ROWS : (j + 1) * ROWS]
            centre, per = loc[j], 1.0 / scale[j]
            for i in range(most):
                x[i] = (values[first + i, column] - centre) * per
            for i in range(most, ROWS):
                x[i] = 0.0


def tiles_of(rows: RowsInMemory | RawRows) -> Iterator[Tiles]:
    """The tiles of all rows, block by block; those of a block are overwritten by the next one."""
    if isinstance(rows, RowsInMemory):
        yield rows.tiles
        return
    columns, loc, scale, parts = rows.standardization.in_tiles
    target, zero = rows.standardization.target, np.zeros(1, dtype=np.int64)
    n_tiles = -(-min(BLOCK_ROWS, rows.n_rows) // ROWS)
    X = np.empty((n_tiles, columns.size * ROWS))
    y, weight = np.empty((2, n_tiles, ROWS))
    for block in slices(rows.n_rows, BLOCK_ROWS):
        raise_if_cancelled()
        values = rows.values[block]
        own = -(-len(values) // ROWS)
        tiles = Tiles(X[:own], parts, y[:own], weight[:own])
        _fill(tiles.X, values, columns, loc, scale)
        _fill(tiles.y, rows.target[block, None], zero, target.loc[None], target.scale[None])
        _fill(tiles.weight, rows.weight[block, None], zero, np.zeros(1), np.ones(1))
        yield tiles
