"""Inputs of every scheme of inference: the pairs of a pass, their types, and the tested coefficients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.arrays import Array, Integers
from engine.estimate.comparison_fit import ComparisonBatch
from engine.estimate.imputed_fit import window_arrays
from engine.estimate.many_samples import RowAverages, Tested
from engine.estimate.terms import terms_of_set
from engine.infer.weighted import TypedPairs
from engine.pairs.pair_statistics import PairStatistics, YearSpans, pair_statistics
from engine.pairs.tiles import MapReduce, serial_map_reduce
from engine.pairs.treatment import Terms
from engine.runtime.execute import UNITS, Machine
from engine.runtime.fingerprint import fingerprint
from engine.stages.cohort_estimates import cohort_batch
from engine.stages.estimation import Estimated
from engine.stages.memory import memory_bytes
from engine.stages.prepare_passes import Prepared

BLOCK = 256  # most replicates of one task


def memory_of(prepared: Prepared) -> float:
    """``runtime.memory`` in bytes."""
    return memory_bytes(prepared.pass_cells.job.runtime.memory)


def over_pairs(machine: Machine) -> MapReduce:
    """Passes over the pairs that only count, on the machine: no store keeps what is sooner counted again."""
    counting = replace(machine, store=None)
    return lambda leaf, pass_input, tasks, merge: counting.reduce(
        leaf, pass_input, tasks, merge, label="pairs", units=UNITS
    )


def features_of(
    prepared: Prepared,
    *,
    every_screen: bool,
    observed: Array | None = None,
    spans: YearSpans | None = None,
    map_reduce: MapReduce = serial_map_reduce,
) -> PairStatistics:
    """Statistics of the pairs of a pass, kept where they take at most three quarters of ``runtime.memory``."""
    return pair_statistics(
        prepared.design,
        every_screen=every_screen,
        memory_bytes=memory_of(prepared) * 0.75,
        observed=observed,
        spans=spans,
        key=fingerprint(prepared.design, every_screen, observed, spans),
        map_reduce=map_reduce,
    )


def types_of(prepared: Prepared) -> list[tuple[int, int]]:
    """Types of pairs in the sample: two classes, the smaller first."""
    h, allowed = prepared.design.n_classes, prepared.design.allowed
    return [(g, k) for g in range(h) for k in range(g, h) if allowed[g, k]]


def terms_of(prepared: Prepared, estimated: Estimated) -> Terms:
    """Treatment terms of a cell."""
    return prepared.terms[prepared.pass_cells.cells.index(estimated.cell)]


def tested_of(
    prepared: Prepared, estimated: Estimated, names: list[str] | None, *, observed: bool = False
) -> Tested:
    """The regression of a cell over [columns | its own terms], and the coefficients to test.

    With ``observed`` the treatment that happened is the last of the columns.
    """
    terms, controls = terms_of(prepared, estimated), prepared.pass_cells.controls
    types = types_of(prepared)
    paths = np.stack([terms.table[g, h] for g, h in types])
    fitted = estimated.fit.names
    chosen = tuple(map(fitted.index, names)) if names else tuple(estimated.fit.tested_positions)
    timing = prepared.timings[prepared.pass_cells.cells.index(estimated.cell)]
    if timing is not None and estimated.cohort_cells is not None:
        observed_years = np.asarray(estimated.cohort_cells.sums.rows.is_observed.any(axis=0))
        cohorts = cohort_batch(estimated.cell, timing, prepared.design, types, fitted, observed_years)
        return Tested(tuple(range(len(fitted))), chosen, paths, cohorts=cohorts)
    if terms.clean_comparisons is not None:
        comparisons = ComparisonBatch.of(terms.clean_comparisons, types)
        return Tested(tuple(range(len(fitted))), chosen, paths, comparisons=comparisons)
    if prepared.design.untreated is not None:
        windows = window_arrays(terms, prepared.design.untreated, types, controls, estimated.fit)
        return Tested(tuple(range(len(fitted))), chosen, paths, windows=windows)
    columns = (*controls, *(["treatment that happened"] if observed else []), *terms.names)
    of_cell = [name for name in fitted if name in controls]
    averages = _averages_of(estimated, terms, of_cell)
    if averages is not None:
        regressors = tuple(columns.index(name) for name in (*of_cell, *terms.names))
        return Tested(regressors, chosen, paths, averages=averages)
    return Tested(
        regressors=tuple(columns.index(name) for name in fitted),
        tested=chosen,
        paths=paths,
        observed=len(controls) if observed else None,
    )


def _averages_of(estimated: Estimated, terms: Terms, controls: Sequence[str]) -> RowAverages | None:
    """The averages of [controls | terms] that a cell reports; None where it reports these themselves."""
    job = estimated.cell.job
    combination = job.model.registered.functions.combination
    if combination is None:
        return None
    of_terms = terms_of_set(terms)
    reported, weights = combination(job.treatment_block.name, of_terms, np.ones(len(of_terms)))
    by_name = {term.name: weight > 0 for term, weight in zip(reported, weights, strict=True)}
    members = np.zeros((len(estimated.fit.names), len(controls) + len(of_terms)), dtype=bool)
    for place, name in enumerate(estimated.fit.names):
        if name in by_name:
            members[place, len(controls) :] = by_name[name]
        else:
            members[place, controls.index(name)] = True
    return RowAverages(members)


def blocks(reps: int, size: int | None = None) -> list[Integers]:
    """Replicate numbers in blocks of ``size``, `BLOCK` by default."""
    step = size or BLOCK
    return [np.arange(start, min(start + step, reps), dtype=np.int32) for start in range(0, reps, step)]


def draws_that_fit(fitting: float, most: int) -> int:
    """Draws of one task: as many as fit, from 8 to ``most``, and a power of two, so that devices share them equally."""
    return 1 << int(math.log2(min(max(fitting, 8.0), most)))


def typed_pairs(prepared: Prepared, map_reduce: MapReduce = serial_map_reduce) -> TypedPairs:
    """The pairs of a pass's sample with their types."""
    design = prepared.design
    numbers = np.full((design.n_classes, design.n_classes), -1, dtype=np.int32)
    types = types_of(prepared)
    for number, (g, h) in enumerate(types):
        numbers[g, h] = numbers[h, g] = number
    return TypedPairs(
        features_of(prepared, every_screen=False, map_reduce=map_reduce), design.classes, numbers, len(types)
    )
