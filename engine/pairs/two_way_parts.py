"""City and pair parts of a residual, summed over the years of each pair: a pass over the pairs, as map and merge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.arrays import Array, Integers
from engine.float64 import double_precision
from engine.pairs import influence_kernels, kernels
from engine.pairs.map_reduce import InteractionPass, city_arrays, kernel_options


@dataclass(frozen=True)
class PairParts:
    """Pairs with a row, and sums over their years.

    Attributes
    ----------
    i, j : int32 ``[P]``
    sums : float64 ``[P, 4, Q]``
        Of the residual's part of the first city, of the second, of the pair alone, and of a coefficient's weight path,
        times each of [years | columns | outcome | terms].
    """

    i: Integers
    j: Integers
    sums: Array


def pair_parts(interaction_pass: InteractionPass, task: object) -> PairParts:
    """The pairs of one task; the pass has one cell and one coefficient."""
    score_pass = interaction_pass.score_pass
    moment_pass, cells = score_pass.moment_pass, score_pass.cells
    options = kernel_options(moment_pass)
    no_pairs = np.zeros(0, dtype=np.int32)
    i, j, sums = [no_pairs], [no_pairs], [np.zeros((0, 4, len(cells.influence)))]
    with double_precision():
        arrays = kernels.to_device(city_arrays(moment_pass))
        block = kernels.to_device(vars(cells) | {"city_years": interaction_pass.city_years})
        for chunk in moment_pass.design.chunks(task):
            of_chunk = influence_kernels.two_way_sums(options, arrays, kernels.arrays_of(chunk), block)
            parts, counted = (np.asarray(part)[: chunk.n] for part in of_chunk)
            i.append(chunk.i[: chunk.n][counted])
            j.append(chunk.j[: chunk.n][counted])
            sums.append(parts[counted])
    return PairParts(np.concatenate(i), np.concatenate(j), np.concatenate(sums))


def merge_parts(earlier: PairParts, later: PairParts) -> PairParts:
    """The pairs of two tasks, in order."""
    return PairParts(
        np.concatenate([earlier.i, later.i]),
        np.concatenate([earlier.j, later.j]),
        np.concatenate([earlier.sums, later.sums]),
    )
