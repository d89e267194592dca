"""The two passes over the pair grid, as map and merge: `city_moments` first, `score_sums` once coefficients are known.

Each pass is two plain functions: one of (design, task), one of two partial results. Who runs them where is
not known here (``engine.runtime``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.arrays import AnyArray, Array, Integers
from engine.float64 import double_precision
from engine.pairs import influence_kernels, kernels
from engine.pairs.design import Chunk, PairDesign
from engine.pairs.moments import CityMoments, Layout, added, type_of
from engine.pairs.pair_rows import PairRows, concatenated, no_rows
from engine.pairs.tiles import task_threads

ChunkArrays = tuple[AnyArray | None, ...]
"""Arrays that a kernel gives of a chunk, and None where one was not asked for."""
_BLOCK = 128  # pairs of one type whose statistics are multiplied at a time


@dataclass(frozen=True)
class MomentPass:
    """Input of every task of the first pass.

    Attributes
    ----------
    design : PairDesign
    balanced : bool
        Take the compact layout; only where no pair-year is missing and no outcome infinite.
    products : bool
        Sum the products of the pairs' statistics too, from which the influence products of any number of cells
        follow without another pass; not for directed tables.
    """

    design: PairDesign
    balanced: bool
    products: bool = False

    @property
    def layout(self) -> Layout:
        return Layout(self.design.n_years, self.design.n_columns, self.balanced)


@dataclass(frozen=True)
class CellBlock:
    """Coefficients of a block of cells, as `influence_kernels.score_products` takes them (see there)."""

    terms: Array
    residual: Array
    influence: Array


@dataclass(frozen=True)
class ScorePass:
    """Input of every task of the second pass: that of the first, and the cells' coefficients."""

    moment_pass: MomentPass
    cells: CellBlock


@dataclass(frozen=True)
class ScoreSums:
    """Sums of influence products, float64 ``[n_cells, K, K]``: of each pair, and of each with its reciprocal pair."""

    pair_meat: Array
    reciprocal_meat: Array


def kernel_options(moment_pass: MomentPass) -> kernels.KernelOptions:
    design = moment_pass.design
    return kernels.KernelOptions(
        layout=moment_pass.layout,
        n_classes=design.n_classes,
        edge=design.edge,
        look_ahead=design.look_ahead,
        clip=design.clip,
        directed=design.directed,
        outcome=design.outcome,
        regressors=design.kinds,
        lag=design.lag,
        least_rows=design.least_rows,
    )


def city_arrays(moment_pass: MomentPass) -> dict[str, AnyArray]:
    """Arrays that the kernels of a pass read beside the pairs."""
    return moment_pass.design.city_arrays(balanced=moment_pass.balanced)


def city_moments(moment_pass: MomentPass, task: Any) -> CityMoments:
    """First pass over one task: pair statistics summed by city and partner class."""
    design, layout, options = moment_pass.design, moment_pass.layout, kernel_options(moment_pass)
    spans = design.span(task)
    first, second = (np.zeros((stop - start, design.n_classes, layout.size)) for start, stop in spans)
    (first_at, _), (second_at, _) = spans
    counts = np.zeros(3 + design.n_years)
    n_types = design.n_classes * (design.n_classes + 1) // 2
    products = np.zeros((n_types, layout.size, layout.size)) if moment_pass.products else None
    with double_precision():
        arrays = kernels.to_device(city_arrays(moment_pass))

        def of_chunk(chunk: Chunk) -> ChunkArrays:
            offset = np.array([chunk.rows[0], chunk.cols[0]], dtype=np.int32)
            blocks = None if products is None else _type_blocks(chunk, design)
            return kernels.moments(options, arrays, kernels.arrays_of(chunk), offset, blocks)

        for chunk, (row_sums, col_sums, chunk_counts, *of_types) in by_chunk(of_chunk, design.chunks(task)):
            _add_range(first, first_at, row_sums, chunk.rows)
            _add_range(second, second_at, col_sums, chunk.cols)
            counts += chunk_counts
            if products is not None:
                products += of_types[0]
    return CityMoments(
        layout=layout,
        first=first,
        second=second,
        infinite=int(counts[0]),
        singletons=int(counts[1]),
        weight=float(counts[2]),
        products=products,
        first_at=first_at,
        second_at=second_at,
        profile=design.profile,
        rows_by_year=counts[3:],
    )


def by_chunk(
    of_chunk: Callable[[Chunk], ChunkArrays], chunks: Iterable[Chunk]
) -> Iterator[tuple[Chunk, tuple[AnyArray, ...]]]:
    """The chunks of a task, in order, with the arrays that a kernel gives of each, those that are None left out.

    Where the task has several threads, so many kernels run at a time; whoever adds what they give adds it in the same
    order, so that sums are the same to the bit.
    """
    import jax

    n_threads = task_threads() if jax.default_backend() == "cpu" else 1

    def read(chunk: Chunk) -> tuple[Chunk, tuple[AnyArray, ...]]:
        with double_precision():  # which is a thread's own
            return chunk, tuple(np.asarray(part) for part in of_chunk(chunk) if part is not None)

    if n_threads == 1:
        yield from map(read, chunks)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        waiting: deque[Future[tuple[Chunk, tuple[AnyArray, ...]]]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(read, chunk))
            if len(waiting) > n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _add_range(total: Array, total_start: int, sums: Array, cities: tuple[int, int]) -> None:
    """Add the sums of a range of cities to the total, whose first city is ``total_start``; in place."""
    start, stop = cities
    total[start - total_start : stop - total_start] += sums[: stop - start]


def _type_blocks(chunk: Chunk, design: PairDesign) -> tuple[Integers, Integers]:
    """The pairs of a chunk in blocks of one type each, see `kernels.moments`; as many blocks for every chunk."""
    n, h = chunk.n, design.n_classes
    n_types = h * (h + 1) // 2
    kind = type_of(*design.pair_classes(chunk.i[:n], chunk.j[:n]), h)
    order, size = np.argsort(kind, kind="stable"), np.bincount(kind, minlength=n_types)
    n_blocks = -(-size // _BLOCK)
    members = np.full((-(-len(chunk.i) // _BLOCK) + n_types, _BLOCK), len(chunk.i), dtype=np.int32)
    first_block, first_pair = (np.concatenate([[0], np.cumsum(count)[:-1]]) for count in (n_blocks, size))
    ranked = kind[order]
    members.ravel()[first_block[ranked] * _BLOCK + np.arange(n) - first_pair[ranked]] = order
    types = np.zeros(len(members), dtype=np.int32)
    types[: n_blocks.sum()] = np.repeat(np.arange(n_types), n_blocks)
    return members, types


def pair_rows(moment_pass: MomentPass, task: Any) -> PairRows:
    """The observed pair-years of one task, for effects that moments by year cannot absorb."""
    design, options = moment_pass.design, kernel_options(moment_pass)
    parts = [no_rows(design.n_columns)]
    with double_precision():
        arrays = kernels.to_device(city_arrays(moment_pass))
        for chunk in design.chunks(task):
            arrays_of_rows = kernels.rows(options, arrays, kernels.arrays_of(chunk))
            columns, weights, counts = (np.asarray(array) for array in arrays_of_rows)
            pair, year = np.nonzero(weights)
            parts.append(
                PairRows(
                    i=chunk.i[: chunk.n],
                    j=chunk.j[: chunk.n],
                    pair=pair.astype(np.int32),
                    year=year.astype(np.int32),
                    values=columns[pair, year],
                    weights=weights[pair, year],
                    infinite=int(counts[0]),
                    singletons=int(counts[1]),
                )
            )
    return concatenated(parts)


def merge_moments(earlier: CityMoments, later: CityMoments) -> CityMoments:
    """Sum of two partial results; neither is changed."""
    first, first_at = added(earlier.first, earlier.first_at, later.first, later.first_at)
    second, second_at = added(earlier.second, earlier.second_at, later.second, later.second_at)
    return replace(
        earlier,
        first=first,
        second=second,
        first_at=first_at,
        second_at=second_at,
        infinite=earlier.infinite + later.infinite,
        singletons=earlier.singletons + later.singletons,
        weight=earlier.weight + later.weight,
        products=_sum(earlier.products, later.products),
        rows_by_year=_sum(earlier.rows_by_year, later.rows_by_year),
    )


def _sum(earlier: Array | None, later: Array | None) -> Array | None:
    return None if earlier is None or later is None else earlier + later


def score_sums(score_pass: ScorePass, task: Any) -> ScoreSums:
    """Second pass over one task: products of pair influences, summed."""
    moment_pass, cells = score_pass.moment_pass, score_pass.cells
    options = kernel_options(moment_pass)
    n_cells = cells.residual.shape[1]
    n_terms = cells.influence.shape[1] // n_cells
    pair_meat, reciprocal_meat = np.zeros((2, n_cells, n_terms, n_terms))
    with double_precision():
        arrays = kernels.to_device(city_arrays(moment_pass))
        block = kernels.to_device(vars(cells))

        def of_chunk(chunk: Chunk) -> ChunkArrays:
            return influence_kernels.score_products(options, arrays, kernels.arrays_of(chunk), block)

        for _, (of_pairs, of_reciprocals) in by_chunk(of_chunk, moment_pass.design.chunks(task)):
            pair_meat += of_pairs
            reciprocal_meat += of_reciprocals
    return ScoreSums(pair_meat, reciprocal_meat)


def merge_scores(earlier: ScoreSums, later: ScoreSums) -> ScoreSums:
    """Sum of two partial results; neither is changed."""
    return ScoreSums(earlier.pair_meat + later.pair_meat, earlier.reciprocal_meat + later.reciprocal_meat)


@dataclass(frozen=True)
class InteractionPass:
    """Input of every task of a second pass with interactions: effects ``[n_units, T, n_cells]`` of cities in years."""

    score_pass: ScorePass
    city_years: Array


@dataclass(frozen=True)
class InteractionSums:
    """See `influence_kernels.interaction_sums`.

    float64 ``[n_cells, K, K]``, ``[n_cells, K]``, ``[n_units, n_cells, K]``.
    """

    scores: ScoreSums
    products: Array
    kappa_squares: Array
    kappa: Array | None


def interaction_sums(interaction_pass: InteractionPass, task: Any) -> InteractionSums:
    """`score_sums` of one task, and what city-year effects leave of the influences."""
    moment_pass, cells = interaction_pass.score_pass.moment_pass, interaction_pass.score_pass.cells
    options, n_cells = kernel_options(moment_pass), cells.residual.shape[1]
    n_terms = cells.influence.shape[1] // n_cells
    products = np.zeros((3, n_cells, n_terms, n_terms))
    squares, kappa = np.zeros((n_cells, n_terms)), None
    with double_precision():
        arrays = kernels.to_device(city_arrays(moment_pass))
        block = kernels.to_device(vars(cells) | {"city_years": interaction_pass.city_years})

        def of_chunk(chunk: Chunk) -> ChunkArrays:
            return influence_kernels.interaction_sums(options, arrays, kernels.arrays_of(chunk), block)

        for _, (of_pairs, of_reciprocals, of_interaction, of_squares, *of_cities) in by_chunk(
            of_chunk, moment_pass.design.chunks(task)
        ):
            products += np.stack([of_pairs, of_reciprocals, of_interaction])
            squares += of_squares
            for part in of_cities:
                kappa = part + (0.0 if kappa is None else kappa)
    return InteractionSums(ScoreSums(products[0], products[1]), products[2], squares, kappa)


def merge_interactions(earlier: InteractionSums, later: InteractionSums) -> InteractionSums:
    """Sum of two partial results; neither is changed."""
    return InteractionSums(
        merge_scores(earlier.scores, later.scores),
        earlier.products + later.products,
        earlier.kappa_squares + later.kappa_squares,
        later.kappa
        if earlier.kappa is None
        else earlier.kappa + (0.0 if later.kappa is None else later.kappa),
    )


@dataclass(frozen=True)
class InteractionProductPass:
    """Input of every task of a pass whose products serve any number of cells.

    See `influence_kernels.interaction_products`.
    """

    moment_pass: MomentPass
    terms: Array
    city_years: Array


def interaction_products(product_pass: InteractionProductPass, task: Any) -> Array:
    """Sums over the pairs of one task, ``[D, D]``."""
    moment_pass = product_pass.moment_pass
    options, design = kernel_options(moment_pass), moment_pass.design
    n_columns = product_pass.city_years.shape[2]
    size = (design.n_years + n_columns - 1) * n_columns
    products = np.zeros((size, size))
    with double_precision():
        arrays = kernels.to_device(city_arrays(moment_pass))
        columns = kernels.to_device({"terms": product_pass.terms, "city_years": product_pass.city_years})

        def of_chunk(chunk: Chunk) -> ChunkArrays:
            return (
                influence_kernels.interaction_products(options, arrays, kernels.arrays_of(chunk), columns),
            )

        for _, (of_pairs,) in by_chunk(of_chunk, design.chunks(task)):
            products += of_pairs
    return products


def merge_products(earlier: Array, later: Array) -> Array:
    """Sum of two partial results; neither is changed."""
    return earlier + later


@dataclass(frozen=True)
class PairGraph:
    """Pairs of a sample, and the years in which each has a row.

    Attributes
    ----------
    i, j : int32 ``[n_pairs]``
    weights : bool or float64 ``[n_pairs, n_years]`` or None
        Which rows there are, or their weights; None where every pair has every year.
    """

    i: Integers
    j: Integers
    weights: AnyArray | None


def pair_graph(moment_pass: MomentPass, task: Any) -> PairGraph:
    """The pairs of one task that count."""
    options, design = kernel_options(moment_pass), moment_pass.design
    no_pairs = np.zeros(0, dtype=np.int32)
    parts = [(no_pairs, no_pairs, np.zeros((0, design.n_years), dtype=bool))]
    with double_precision():
        arrays = kernels.to_device(city_arrays(moment_pass))
        for chunk in design.chunks(task):
            weights = np.asarray(influence_kernels.row_weights(options, arrays, kernels.arrays_of(chunk)))
            counted = (weights > 0).any(axis=1)
            rows = weights[counted] if chunk.weights is not None else weights[counted] > 0
            parts.append((chunk.i[counted], chunk.j[counted], rows))
    i, j, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    return PairGraph(i, j, None if moment_pass.balanced else weights)


def merge_graphs(earlier: PairGraph, later: PairGraph) -> PairGraph:
    """The pairs of two parts, in order."""
    weights = None
    if earlier.weights is not None and later.weights is not None:
        weights = np.concatenate([earlier.weights, later.weights])
    return PairGraph(np.concatenate([earlier.i, later.i]), np.concatenate([earlier.j, later.j]), weights)
