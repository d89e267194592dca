"""Frames of what two-way fixed effects compare and weigh, for cells that ask for them (``model.diagnostics``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from engine.arrays import Array
from engine.errors import InputError
from engine.estimate.effect_weights import EffectWeights, effect_weights, least_heterogeneity
from engine.estimate.goodman_bacon import two_by_twos
from engine.pairs.moments import CityMoments, Layout
from engine.report.outputs.comparison_scatter import BACON_COLUMNS
from engine.report.outputs.weight_summary import SUMMARY_COLUMNS, WEIGHT_COLUMNS
from engine.stages.estimation import Estimated
from engine.stages.pair_sums import PassSums, by_type
from engine.stages.prepare_passes import Prepared

Passes = Sequence[tuple[Prepared, list[Estimated]]]


def diagnostic_frames(job: str, passes: Passes) -> dict[str, pd.DataFrame]:
    """Comparisons, weights of treated cells, and their summary; without rows where no cell asks for them."""
    comparisons: list[tuple[object, ...]] = []
    weights: list[tuple[object, ...]] = []
    summaries: list[tuple[object, ...]] = []
    for prepared, estimated_cells in passes:
        for number, estimated in enumerate(estimated_cells):
            if estimated.passes is None or not estimated.cell.job.model.diagnostics:
                continue
            _refuse_incomplete_rows(estimated, estimated.passes)
            requested, lead = estimated.cell.job.model.diagnostics, (job, estimated.cell.id)
            treatment = by_type(prepared.terms[number].table)[..., 0]
            sums = _type_sums(estimated.passes.moments, prepared)
            if "goodman_bacon" in requested:
                rows = _comparisons(estimated.passes.moments.layout, sums, prepared, treatment)
                comparisons += [(*lead, *row) for row in rows]
            if "effect_weights" in requested:
                of_cell = _weights(estimated, estimated.passes, sums, treatment)
                weights += [(*lead, *row) for row in _weight_rows(of_cell, prepared)]
                summaries.append((*lead, *_summary(estimated, of_cell)))
    return {
        "goodman_bacon": pd.DataFrame(comparisons, columns=list(BACON_COLUMNS)),
        "effect_weights": pd.DataFrame(weights, columns=list(WEIGHT_COLUMNS)),
        "effect_weight_summary": pd.DataFrame(summaries, columns=list(SUMMARY_COLUMNS)),
    }


def _refuse_incomplete_rows(estimated: Estimated, passes: PassSums) -> None:
    """Rows with an infinite outcome are left out by the pass alone; those that data lack are refused before it."""
    if not passes.moments.layout.balanced:
        raise InputError(
            f"{estimated.cell.job.model.diagnostics[0]} is of pairs that have all years, and rows with an infinite "
            "outcome are left out",
            where=f"cell '{estimated.cell.label}': model.diagnostics",
            remedy="use outcome.infinite: clip",
        )


def _type_sums(moments: CityMoments, prepared: Prepared) -> Array:
    """``[n_types, size]`` pair statistics by type."""
    n_classes = moments.first.shape[1]
    of_classes = np.zeros((n_classes, n_classes, moments.layout.size))
    np.add.at(of_classes, prepared.design.classes, moments.first)
    of_both = of_classes + np.swapaxes(of_classes, 0, 1)
    of_both[np.diag_indices(n_classes)] /= 2
    return by_type(of_both)


def _comparisons(
    layout: Layout, sums: Array, prepared: Prepared, treatment: Array
) -> Iterator[tuple[str, str, str, float, float]]:
    years = np.array(prepared.pass_cells.data.years, dtype=np.float64)
    ever = treatment.any(axis=1)
    starts = np.where(ever, years[treatment.argmax(axis=1)], np.inf)
    cohorts = np.unique(starts)
    members = (cohorts[:, None] == starts).astype(np.float64)
    for pair in two_by_twos(cohorts, members @ sums[:, 0], members @ sums[:, layout.outcomes], years):
        yield pair.kind, _year_name(pair.treated), _year_name(pair.control), pair.weight, pair.effect


def _year_name(year: float) -> str:
    """First treated year, or ``never``, or ``always``."""
    return f"{year:.0f}" if np.isfinite(year) else "never" if year > 0 else "always"


def _weights(estimated: Estimated, passes: PassSums, sums: Array, treatment: Array) -> EffectWeights:
    (place,) = estimated.fit.tested_positions
    return effect_weights(
        passes.moments.layout,
        sums,
        by_type(passes.table),
        estimated.fit.weight_path[:, place],
        treatment,
    )


def _weight_rows(
    weights: EffectWeights, prepared: Prepared
) -> Iterator[tuple[str, int, float, float, float]]:
    years = prepared.pass_cells.data.years
    for path, rows, of_path in zip(weights.paths, weights.rows, weights.weights, strict=True):
        for place in np.flatnonzero(path).tolist():
            yield (
                _path_name(path, years),
                years[place],
                float(path[place]),
                float(rows[place]),
                float(of_path[place]),
            )


def _path_name(path: Array, years: Sequence[int]) -> str:
    """The years in which treatment changes; ``always`` where it does not."""
    changes = [str(years[place + 1]) for place in np.flatnonzero(np.diff(path)).tolist()]
    return ", ".join(changes) or "always"


def _summary(
    estimated: Estimated, weights: EffectWeights
) -> tuple[str, float, int, int, float, float, float]:
    is_treated = weights.paths != 0
    of_cells = weights.weights[is_treated]
    doses = (weights.rows * weights.paths)[is_treated]
    (place,) = estimated.fit.tested_positions
    coefficient = float(estimated.fit.values[place])
    least = least_heterogeneity(coefficient, of_cells, doses / doses.sum())
    # Weights that are zero but for rounding are not negative.
    negative = of_cells[of_cells < -1e-12]
    sizes = (len(of_cells), len(negative), float(negative.sum()))
    return estimated.fit.names[place], coefficient, *sizes, least.zero, least.reversed
