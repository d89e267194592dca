"""The tiling of the upper triangle of the pair grid: a function of the number of units and of memory alone.

Who computes a tile, and how many workers there are, never changes what is summed with what: tiles come in a
fixed order, in fixed groups, and group results are merged along a fixed binary tree (``engine.runtime``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import reduce
from typing import Any

Leaf = Callable[[Any, Any], object]
"""``leaf(pass_input, task)``: partial result of one task."""
Merge = Callable[[Any, Any], object]
"""Sum of two partial results."""
MapReduce = Callable[[Leaf, object, Sequence[object], Merge], Any]
"""``map_reduce(leaf, pass_input, tasks, merge)``: ``merge`` over the leaves of all tasks, wherever they run."""

MAX_GROUPS = 64
"""Tasks of a pass over a grid of up to 33 million pairs."""

_MOST_GROUPS = 4096  # whatever the grid: some seconds of a scheduler's time
_GROUP = (
    2**19
)  # pairs of a task beyond that: half a second of work or more, a thousand times a scheduler's share
_EDGE = 256  # 32,640 pairs on the diagonal, 65,536 off it: a few milliseconds of work, a few megabytes


_TASK_THREADS: ContextVar[int] = ContextVar("task_threads", default=1)


def task_threads() -> int:
    """Threads that the task at work may use."""
    return _TASK_THREADS.get()


@contextmanager
def with_task_threads(count: int) -> Iterator[None]:
    """Tasks called within it may use so many threads: for a pass of one task, which would leave cores idle."""
    token = _TASK_THREADS.set(count)
    try:
        yield
    finally:
        _TASK_THREADS.reset(token)


@dataclass(frozen=True)
class Tile:
    """Pairs (i, j), i < j, with i in ``rows`` and j in ``cols`` (half-open ranges of unit positions)."""

    rows: tuple[int, int]
    cols: tuple[int, int]

    @property
    def n_pairs(self) -> int:
        height, width = self.rows[1] - self.rows[0], self.cols[1] - self.cols[0]
        return height * (height - 1) // 2 if self.rows == self.cols else height * width


def tile_edge(n_units: int, *, memory_bytes: float, bytes_per_unit: float) -> int:
    """Cities along a tile's edge: 256, or fewer where the sums of a tile's units outgrow an eighth of memory."""
    edge = _EDGE
    while edge > 16 and 2 * edge * bytes_per_unit > memory_bytes / 8:
        edge //= 2
    return max(2, min(edge, n_units))


def triangle(n_units: int, edge: int) -> tuple[Tile, ...]:
    """Tiles that cover every unordered pair of ``n_units`` once, row band by row band."""
    starts = range(0, n_units, edge)
    bands = [(start, min(start + edge, n_units)) for start in starts]
    return tuple(Tile(rows, cols) for a, rows in enumerate(bands) for cols in bands[a:])


def most_groups(n_pairs: int) -> int:
    """Tasks of a pass over the pairs at most: one for every half million, but no fewer than 64, and 4,096 in the end.

    A function of the grid alone, like everything that decides what is summed with what. 2,850 units make 64 tasks,
    10,000 make 95, 40,000 make 1,525, and 66,000 units or more 4,096.
    """
    return min(_MOST_GROUPS, max(MAX_GROUPS, n_pairs // _GROUP))


def groups(tiles: tuple[Tile, ...], limit: int | None = None) -> tuple[tuple[Tile, ...], ...]:
    """Consecutive tiles in at most ``limit`` (`most_groups`) groups of similar pair counts; one group is one task."""
    total = sum(tile.n_pairs for tile in tiles)
    limit = limit or most_groups(total)
    share, n_assigned = total / limit, 0
    tasks: list[list[Tile]] = [[]]
    for tile in tiles:
        if tasks[-1] and n_assigned + tile.n_pairs / 2 > share * len(tasks):
            tasks.append([])
        tasks[-1].append(tile)
        n_assigned += tile.n_pairs
    return tuple(tuple(task) for task in tasks)


def serial_map_reduce(leaf: Leaf, pass_input: object, tasks: Sequence[object], merge: Merge) -> Any:
    """`MapReduce` in this process, one task after the other."""
    return reduce(merge, (leaf(pass_input, task) for task in tasks))
