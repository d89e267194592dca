"""One draw of a job's inference, made again to be looked at: ``dyadid draw``.

A draw is a function of seed, replicate and city, so it needs none of the others; its numbers are those of its
row in ``draws.parquet``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from rich.cells import cell_len

from engine.arrays import Array, Integers
from engine.errors import InputError
from engine.float64 import double_precision
from engine.infer.draws import multipliers, resampled_counts
from engine.infer.permutation import OBSERVED, Permutation, drawn_classes, draws_of, permutation_draws
from engine.infer.scores import multiplier_draws, wild_statistics
from engine.infer.summary import all_assignments, n_assignments
from engine.infer.weighted import weighted_fit
from engine.pairs.treatment import NEVER
from engine.spec import Cell, Plan
from engine.stages.estimation import Estimated
from engine.stages.inference.bootstrap import dropped_draws
from engine.stages.inference.full_pipeline import PipelineSetting, pipeline_draws
from engine.stages.inference.pass_inputs import tested_of, weighted_setting
from engine.stages.inference.permutation_draws import permutation_setting
from engine.stages.prepare_passes import Prepared

_NAMED = 10  # cells that a message lists


@dataclass(frozen=True)
class Asked:
    """Which draw: a cell, ``permutation`` or the kind of its bootstrap, and the number of the replicate."""

    cell: Cell
    method: str
    replicate: int

    @property
    def block(self) -> Any:
        """What the job says about these draws."""
        inference = self.cell.job.inference
        return inference.permutation if self.method == "permutation" else inference.bootstrap


@dataclass(frozen=True)
class Draw:
    """One draw.

    Attributes
    ----------
    asked : Asked
    reps : int
        Draws that there are.
    cities : DataFrame
        A row a city, in the order of the panel. Permutation: ``city, adopts_in_truth, adopts_in_draw``, missing
        for never. Node and pipeline bootstrap: ``city, times_drawn``. Multiplier and wild: ``city, multiplier``.
    pairs : DataFrame
        Permutation: pairs left by each filter and the screen's threshold, ``what, truth, draw``; else empty.
    terms : DataFrame
        ``term, estimate, statistic`` as in ``draws.parquet``, and ``estimate_in_truth``,
        ``statistic_in_truth``, missing where there is no such number to compare.
    dropped : bool
        A resample that lacks a cohort, so that the run leaves it out.
    """

    asked: Asked
    reps: int
    cities: pd.DataFrame
    pairs: pd.DataFrame
    terms: pd.DataFrame
    dropped: bool = False


def choose(plan: Plan, *, replicate: int, cell: str | None, method: str | None) -> Asked:
    """The draw that is meant.

    Parameters
    ----------
    plan : Plan
    replicate : int
        From 0, as in ``draws.parquet``.
    cell : str, optional
        Label or id; not needed where a single cell has draws.
    method : str, optional
        Default: the permutation where the cell has one, else its bootstrap.

    Raises
    ------
    InputError
        Where that is no draw of the job, or more than one.
    """
    chosen = _choose_cell(plan, cell)
    methods = _methods(chosen)
    if not methods:
        raise InputError(
            f"cell '{chosen.label}' makes no draws",
            where=f"{plan.loaded.path}: inference",
            remedy="ask for inference.permutation or inference.bootstrap",
        )
    if method is not None and method not in methods:
        raise InputError(
            f"cell '{chosen.label}' has no draws of '{method}'",
            where="--method",
            remedy=f"it has {' and '.join(methods)}",
        )
    asked = Asked(chosen, method or methods[0], replicate)
    _refuse_beyond(replicate, asked.block.reps)
    return asked


def _choose_cell(plan: Plan, name: str | None) -> Cell:
    able = [cell for cell in plan.cells if _methods(cell)] or list(plan.cells)
    found = able if name is None else [cell for cell in plan.cells if name in (cell.label, cell.id)]
    if len(found) == 1:
        return found[0]
    offered = found or list(plan.cells)
    listed = ", ".join(f"{cell.id} ({cell.label})" for cell in offered[:_NAMED])
    more = f" and {len(offered) - _NAMED} more" if len(offered) > _NAMED else ""
    problem = f"no cell has the label or id '{name}'" if not found else f"{len(found)} cells could be meant"
    raise InputError(problem, where="--cell", remedy=f"give one of {listed}{more}")


def _methods(cell: Cell) -> list[str]:
    inference = cell.job.inference
    permutation = ["permutation"] if inference.permutation else []
    return permutation + ([inference.bootstrap.kind] if inference.bootstrap else [])


def _refuse_beyond(replicate: int, reps: int, why: str = "") -> None:
    if not 0 <= replicate < reps:
        raise InputError(
            f"there is no replicate {replicate}{why}", where="--replicate", remedy=f"give 0 to {reps - 1}"
        )


def make_draw(prepared: Prepared, result: Estimated, asked: Asked) -> Draw:
    """The draw of one cell, from its pass and its fit."""
    if asked.method == "permutation":
        return _permuted(prepared, result, asked)
    resampled = asked.method in ("node", "pipeline")
    of_city, terms = (_resampled if resampled else _multiplied)(prepared, result, asked)
    dropped = resampled and bool(dropped_draws(prepared, result, of_city[None])[0])
    if dropped:
        terms[["estimate", "statistic"]] = np.nan
    column = {"times_drawn": of_city.astype(int)} if resampled else {"multiplier": of_city}
    cities = pd.DataFrame({"city": prepared.shared.data.units, **column})
    no_pairs = pd.DataFrame({"what": [], "truth": [], "draw": []})
    return Draw(asked, asked.block.reps, cities, no_pairs, terms, dropped)


def _permuted(prepared: Prepared, result: Estimated, asked: Asked) -> Draw:
    setting = permutation_setting(prepared, [result], asked.block)
    replicates = np.array([asked.replicate], dtype=np.int32)
    ways = n_assignments(setting.sample.classes, setting.strata)
    if ways <= asked.block.reps:  # the run went through all of them
        _refuse_beyond(asked.replicate, ways, f": all {ways:,} assignments were enumerated")
        classes = all_assignments(setting.sample.classes, setting.strata)[replicates]
        drawn = draws_of(setting, classes, replicates)
    else:
        classes = drawn_classes(setting, replicates)
        drawn = permutation_draws(setting, replicates)
    truth = permutation_draws(setting, np.array([OBSERVED], dtype=np.int32))
    adopted = [prepared.adoption.years[of_city] for of_city in (setting.sample.classes, classes[0])]
    cities = {
        "city": prepared.shared.data.units,
        "adopts_in_truth": _years(adopted[0]),
        "adopts_in_draw": _years(adopted[1]),
    }
    names = [result.fit.names[k] for k in setting.cells[0].tested]
    terms = _terms(
        names, drawn.estimate[0][0], drawn.statistic[0][0], truth.estimate[0][0], truth.statistic[0][0]
    )
    return Draw(
        asked,
        min(ways, asked.block.reps),
        pd.DataFrame(cities),
        _pairs(prepared, setting, classes[0]),
        terms,
    )


def _years(adopted: Array) -> Any:
    return pd.array([pd.NA if year == NEVER else int(year) for year in adopted], dtype="Int64")


def _pairs(prepared: Prepared, setting: Permutation, classes: Integers) -> pd.DataFrame:
    """Filters of the sample and of the draw, counted pair by pair and not by contraction."""
    sample = prepared.design.sample
    drawn = replace(sample, classes=classes, n_kept=None)
    rows: list[tuple[str, float, float]] = [
        ("pairs after the exclusion", sample.n_eligible, drawn.n_eligible)
    ]
    if sample.n_kept is not None:
        if setting.sample.recompute:
            drawn = drawn.screened()
        n_kept = len(drawn.all_pairs()[0]) if drawn.n_kept is None else drawn.n_kept
        rows.append(("pairs after the screen", sample.n_kept, n_kept))
        rows.append(("screen: ln F above", sample.threshold, drawn.threshold))
    return pd.DataFrame(rows, columns=["what", "truth", "draw"])


def _resampled(prepared: Prepared, result: Estimated, asked: Asked) -> tuple[Array, pd.DataFrame]:
    """Times that each city was drawn, and what the resample gives."""
    replicates = np.array([asked.replicate], dtype=np.int32)
    counts = resampled_counts(asked.block.seed, replicates, prepared.design.n_units)
    cell = tested_of(prepared, result, None)
    names, here = [result.fit.names[k] for k in cell.tested], result.fit.estimate[list(cell.tested)]
    if asked.method == "pipeline":
        shared = replace(prepared.shared, cells=(result.cell,))
        draws = pipeline_draws(PipelineSetting(shared, (tuple(names),), asked.block.seed), replicates)
        estimate, statistic = draws.estimate[0][0], draws.statistic[0][0]
    else:
        with double_precision():
            _, found, variance = weighted_fit(
                weighted_setting(prepared).sorted(), counts, cell, studentise=True
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            estimate, statistic = found[0], (found[0] - here) / np.sqrt(variance[0])
    return counts[0], _terms(names, estimate, statistic, here)


def _multiplied(prepared: Prepared, result: Estimated, asked: Asked) -> tuple[Array, pd.DataFrame]:
    """The multiplier of each city, and what they make of its score."""
    fit, positions = result.fit, list(tested_of(prepared, result, None).tested)
    city = (fit.city_first + fit.city_second)[:, positions]
    replicates = np.array([asked.replicate], dtype=np.int32)
    signs = multipliers(asked.block.seed, replicates, len(city), asked.block.weights)
    names, here = [fit.names[k] for k in positions], fit.estimate[positions]
    if asked.method == "multiplier":
        estimate, statistic = multiplier_draws(here, city, signs)
        return signs[0], _terms(names, estimate[0], statistic[0], here)
    assert result.normal is not None
    every = list(result.normal.names)
    regressors = tuple(every.index(name) for name in result.regressors)
    pairs = [wild_statistics(result.normal, regressors, k, signs) for k in positions]
    missing = np.full(len(names), np.nan)
    observed = np.array([value for value, _ in pairs])
    return signs[0], _terms(names, missing, np.array([drawn[0] for _, drawn in pairs]), here, observed)


def _terms(
    names: Sequence[str], estimate: Array, statistic: Array, here: Array, observed: Array | None = None
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "term": list(names),
            "estimate": estimate,
            "statistic": statistic,
            "estimate_in_truth": here,
            "statistic_in_truth": np.nan if observed is None else observed,
        }
    )


def draw_lines(draw: Draw) -> Iterator[str]:
    """What ``dyadid draw`` prints, one line at a time."""
    asked = draw.asked
    yield (
        f"{asked.cell.label} ({asked.cell.id}): {asked.method}, replicate {asked.replicate} of {draw.reps:,}, "
        f"seed {asked.block.seed}"
    )
    yield ""
    yield from _adopters(draw.cities) if asked.method == "permutation" else _by_value(draw.cities)
    yield ""
    rows = [("", "in truth", "in the draw")]
    rows += [(what, *map(_number, values)) for what, *values in draw.pairs.itertuples(index=False)]
    for term, *values in draw.terms.itertuples(index=False):
        estimate, statistic, here, observed = map(_number, values)
        rows += [(f"{term}: coefficient", here, estimate), (f"{term}: t", observed, statistic)]
    yield from _aligned(rows)
    if draw.dropped:
        yield "the run leaves this draw out: some adoption cohort has no city in it"


def _adopters(cities: pd.DataFrame) -> Iterator[str]:
    """Cities that adopt in truth or in the draw; the others counted."""
    adopts = cities.dropna(subset=["adopts_in_truth", "adopts_in_draw"], how="all")
    shown = adopts.astype(object).where(adopts.notna(), "never")
    rows = [("city", "adopts in truth", "in the draw")]
    yield from _aligned([*rows, *(tuple(map(str, row)) for row in shown.itertuples(index=False))])
    yield f"{len(cities) - len(adopts):,} cities adopt in neither"


def _by_value(cities: pd.DataFrame) -> Iterator[str]:
    """Cities under the value they drew."""
    column = cities.columns[1]
    for value, names in cities.groupby(column)["city"]:
        yield f"{column.replace('_', ' ')} {value:.4g} ({len(names):,} cities): {', '.join(names)}"


def _number(value: float) -> str:
    if np.isnan(value):
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.10g}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns two blanks apart, numbers to the right; Chinese characters are two places wide."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        padded = [
            " " * (width - cell_len(text)) + text for text, width in zip(others, widths[1:], strict=True)
        ]
        yield "  ".join([first + " " * (widths[0] - cell_len(first)), *padded])
