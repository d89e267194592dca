"""One draw of a job's inference, made again to be looked at: ``dyadid draw``.

A draw is a function of seed, replicate and city, so it needs none of the others; its numbers are those of its
row in ``draws.parquet``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from rich.cells import cell_len

from engine.arrays import Array, Integers
from engine.errors import InputError
from engine.infer.draws import multipliers, permuted_classes, resampled_counts
from engine.infer.permutation import OBSERVED, draws_of, permutation_draws
from engine.infer.scores import multiplier_draws
from engine.infer.summary import all_assignments, n_assignments
from engine.pairs.treatment import NEVER
from engine.report.language.wording import Words, job_words
from engine.spec import Cell, Plan
from engine.spec.cell_choice import choose_cell
from engine.spec.inference import Bootstrap, PermutationTest
from engine.spec.sweep import cell_names
from engine.stages.estimation import Estimated
from engine.stages.inference.bootstrap import NodeInput, node_draws, wild_draws
from engine.stages.inference.full_pipeline import PipelineInput, pipeline_draws
from engine.stages.inference.instrument_draws import draws_of_cities, instrument_test, observed_instrument
from engine.stages.inference.pass_inputs import tested_of, typed_pairs
from engine.stages.inference.permutation_draws import permutation_test
from engine.stages.inference.refitted_draws import drawn_sample, observed_draw, refits_of, refitted_test
from engine.stages.inference.two_way_wild_draws import observed_ratios, two_way_draws, two_way_input
from engine.stages.inference_checks import permuted_by_refits, reassigned, strata_of
from engine.stages.prepare_passes import Prepared

_NO_PAIRS = pd.DataFrame({"what": [], "truth": [], "draw": []})


@dataclass(frozen=True)
class DrawRequest:
    """A draw of a job: a cell, ``permutation`` or the kind of its bootstrap, and the number of the replicate."""

    cell: Cell
    method: str
    replicate: int

    @property
    def block(self) -> PermutationTest | Bootstrap:
        """The job's keys for these draws."""
        inference = self.cell.job.inference
        block = inference.permutation if self.method == "permutation" else inference.bootstrap
        if block is None:
            raise _no_draws(self.cell, self.method)
        return block


@dataclass(frozen=True)
class Draw:
    """One draw.

    Attributes
    ----------
    request : DrawRequest
    reps : int
        Draws that there are.
    cities : DataFrame
        A row a city, in the order of the panel. Permutation: ``city, adopts_in_truth, adopts_in_draw``, missing
        for never; with an instrument ``city, instrument_of``, the city whose series it has. Node and pipeline
        bootstrap: ``city, times_drawn``. Other kinds: ``city, multiplier``.
    pairs : DataFrame
        Permutation: pairs left by each filter and the screen's threshold, ``what, truth, draw``; else empty.
    terms : DataFrame
        ``term, estimate, statistic`` as in ``draws.parquet``, and ``estimate_in_truth``,
        ``statistic_in_truth``, missing where there is no such number to compare.
    """

    request: DrawRequest
    reps: int
    cities: pd.DataFrame
    pairs: pd.DataFrame
    terms: pd.DataFrame


def choose(plan: Plan, *, replicate: int, cell: str | None, method: str | None) -> DrawRequest:
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
    drawn_cells = [at for at, each in enumerate(plan.cells) if _methods(each)]
    chosen_cell = plan.cells[choose_cell(cell_names(plan), cell, where="--cell", candidates=drawn_cells)]
    methods = _methods(chosen_cell)
    if not methods:
        raise InputError(
            f"cell '{chosen_cell.label}' makes no draws",
            where=f"{plan.loaded.path}: inference",
            remedy="ask for inference.permutation or inference.bootstrap",
        )
    if method is not None and method not in methods:
        raise _no_draws(chosen_cell, method)
    request = DrawRequest(chosen_cell, method or methods[0], replicate)
    _refuse_beyond(replicate, request.block.reps)
    return request


def _no_draws(cell: Cell, method: str) -> InputError:
    return InputError(
        f"cell '{cell.label}' has no draws of '{method}'",
        where="--method",
        remedy=f"it has {' and '.join(_methods(cell))}",
    )


def _methods(cell: Cell) -> list[str]:
    inference = cell.job.inference
    permutation = ["permutation"] if inference.permutation else []
    return permutation + ([inference.bootstrap.kind] if inference.bootstrap else [])


def _refuse_beyond(replicate: int, reps: int, reason: str = "") -> None:
    if not 0 <= replicate < reps:
        raise InputError(
            f"there is no replicate {replicate}{reason}", where="--replicate", remedy=f"give 0 to {reps - 1}"
        )


def make_draw(prepared: Prepared, cell: Estimated, request: DrawRequest) -> Draw:
    """The draw of one cell, from its pass and its fit."""
    block = request.block
    if isinstance(block, PermutationTest):
        return _permuted(prepared, cell, request, block)
    resampled = block.kind in ("node", "pipeline")
    if resampled:
        of_city, terms = _resampled(prepared, cell, request, block)
    else:
        of_city, terms = _multiplied(cell, request, block)
    column = {"times_drawn": of_city.astype(int)} if resampled else {"multiplier": of_city}
    cities = pd.DataFrame({"city": prepared.pass_cells.data.units, **column})
    return Draw(request, block.reps, cities, _NO_PAIRS, terms)


def _permuted(prepared: Prepared, cell: Estimated, request: DrawRequest, block: PermutationTest) -> Draw:
    strata = strata_of(prepared.pass_cells.data, prepared.design.sample, block.strata)
    in_truth = reassigned(cell.cell.job, prepared.design)
    replicates = np.array([request.replicate], dtype=np.int32)
    ways = n_assignments(in_truth, strata)
    if ways <= block.reps:  # the run went through all of them
        _refuse_beyond(request.replicate, ways, f": all {ways:,} assignments were enumerated")
        classes = all_assignments(in_truth, strata)[replicates]
    else:
        classes = permuted_classes(block.seed, replicates, in_truth, strata)
    reps = min(ways, block.reps)
    if cell.instrument is not None:
        return _reassigned_instrument(prepared, cell, request, reps, classes)
    if permuted_by_refits(cell.cell.job):
        refitted = refitted_test(prepared, cell, block)
        names, recompute = refitted.tested, refitted.recompute
        drawn, truth = refits_of(refitted, classes, replicates), observed_draw(cell, names)
    else:
        test = permutation_test(prepared, [cell], block)
        names = tuple(cell.fit.names[k] for k in test.cells[0].tested)
        drawn, recompute = draws_of(test, classes, replicates), test.sample.recompute
        truth = permutation_draws(test, np.array([OBSERVED], dtype=np.int32))
    adopted = [prepared.adoption.years[of_city] for of_city in (in_truth, classes[0])]
    cities = {
        "city": prepared.pass_cells.data.units,
        "adopts_in_truth": _years(adopted[0]),
        "adopts_in_draw": _years(adopted[1]),
    }
    terms = _terms(
        names, drawn.estimate[0][0], drawn.statistic[0][0], truth.estimate[0][0], truth.statistic[0][0]
    )
    of_pairs = _pairs(prepared, classes[0], recompute=recompute)
    return Draw(request, reps, pd.DataFrame(cities), of_pairs, terms)


def _reassigned_instrument(
    prepared: Prepared, cell: Estimated, request: DrawRequest, reps: int, cities: Integers
) -> Draw:
    test, units = instrument_test(prepared, cell), np.array(prepared.pass_cells.data.units)
    drawn = draws_of_cities(test, cities, np.array([request.replicate], dtype=np.int32))
    truth, names = observed_instrument(test), [cell.fit.names[k] for k in cell.fit.tested_positions]
    terms = _terms(
        names, drawn.estimate[0][0], drawn.statistic[0][0], truth.estimate[0][0], truth.statistic[0][0]
    )
    frame = pd.DataFrame({"city": units, "instrument_of": units[cities[0]]})
    return Draw(request, reps, frame, _NO_PAIRS, terms)


def _years(adopted: Array) -> pd.api.extensions.ExtensionArray:
    return pd.array([pd.NA if year == NEVER else int(year) for year in adopted], dtype="Int64")


def _pairs(prepared: Prepared, classes: Integers, *, recompute: bool) -> pd.DataFrame:
    """Filters of the sample and of the draw, counted pair by pair and not by contraction."""
    sample = prepared.design.sample
    drawn = drawn_sample(sample, classes, recompute=recompute)
    rows: list[tuple[str, float, float]] = [
        ("pairs after the exclusion", sample.n_eligible, drawn.n_eligible)
    ]
    if sample.n_kept is not None and drawn.n_kept is not None:
        rows.append(("pairs after the screen", sample.n_kept, drawn.n_kept))
        rows.append(("screen: ln F above", sample.threshold, drawn.threshold))
    return pd.DataFrame(rows, columns=["what", "truth", "draw"])


def _resampled(
    prepared: Prepared, cell: Estimated, request: DrawRequest, scheme: Bootstrap
) -> tuple[Array, pd.DataFrame]:
    """Times that each city was drawn, and the estimates on the resample."""
    replicates = np.array([request.replicate], dtype=np.int32)
    counts = resampled_counts(scheme.seed, replicates, prepared.design.n_units)
    regression = tested_of(prepared, cell, None)
    positions = list(regression.tested)
    terms, in_truth = tuple(cell.fit.names[k] for k in positions), cell.fit.values[positions]
    if scheme.kind == "pipeline":
        pass_cells = replace(prepared.pass_cells, cells=(cell.cell,))
        draws = pipeline_draws(PipelineInput(pass_cells, (terms,), scheme.seed), replicates)
    else:
        node = NodeInput(typed_pairs(prepared), (regression,), (in_truth,), scheme.seed)
        draws = node_draws(node, replicates)
    return counts[0], _terms(terms, draws.estimate[0][0], draws.statistic[0][0], in_truth)


def _multiplied(cell: Estimated, request: DrawRequest, scheme: Bootstrap) -> tuple[Array, pd.DataFrame]:
    """The multiplier of each city, and the estimates from its multiplied score."""
    fit, positions = cell.fit, cell.fit.tested_positions
    city = fit.city_influence[:, positions]
    replicates = np.array([request.replicate], dtype=np.int32)
    signs = multipliers(scheme.seed, replicates, len(city), scheme.weights)
    terms, in_truth = [fit.names[k] for k in positions], fit.values[positions]
    if scheme.kind == "two_way_wild":
        pass_input = two_way_input(cell, scheme)
        draws = two_way_draws(pass_input, replicates)
        return signs[0], _terms(
            terms, draws.estimate[0][0], draws.statistic[0][0], in_truth, observed_ratios(pass_input)
        )
    if scheme.kind == "multiplier":
        estimate, statistic = multiplier_draws(in_truth, city, signs)
        return signs[0], _terms(terms, estimate[0], statistic[0], in_truth)
    observed, drawn = zip(*wild_draws(cell, positions, signs), strict=True)
    statistic = np.array([values[0] for values in drawn])
    return signs[0], _terms(terms, np.full(len(terms), np.nan), statistic, in_truth, np.array(observed))


def _terms(
    names: Sequence[str], estimate: Array, statistic: Array, in_truth: Array, observed: Array | None = None
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "term": list(names),
            "estimate": estimate,
            "statistic": statistic,
            "estimate_in_truth": in_truth,
            "statistic_in_truth": np.nan if observed is None else observed,
        }
    )


def draw_words(draw: Draw) -> Words:
    """The words of the job's language, for its units."""
    job = draw.request.cell.job
    return job_words({"lang": job.lang, "parameters": job.model_dump(exclude_none=True)})


def draw_lines(draw: Draw) -> Iterator[str]:
    """Lines that ``dyadid draw`` prints, in the language of the job."""
    request, words = draw.request, draw_words(draw)
    yield words(
        "{cell} ({id}): {method}, replicate {replicate} of {reps}, seed {seed}",
        cell=request.cell.label,
        id=request.cell.id,
        method=words.in_context(request.method, "draw"),
        replicate=request.replicate,
        reps=f"{draw.reps:,}",
        seed=request.block.seed,
    )
    yield ""
    if "instrument_of" in draw.cities:
        header = (words("city"), words("has the series of"))
        yield from _aligned([header, *draw.cities.itertuples(index=False)])
    elif request.method == "permutation":
        yield from _adopters(draw.cities, words)
    else:
        yield from _by_value(draw.cities, words)
    yield ""
    rows: list[tuple[str, ...]] = [("", words("in truth"), words("in the draw"))]
    rows += [
        (words.known(name), *map(_number, values)) for name, *values in draw.pairs.itertuples(index=False)
    ]
    for term, *values in draw.terms.itertuples(index=False):
        estimate, statistic, in_truth, observed = map(_number, values)
        rows += [
            (words("{term}: coefficient", term=term), in_truth, estimate),
            (words("{term}: t", term=term), observed, statistic),
        ]
    yield from _aligned(rows)


def _adopters(cities: pd.DataFrame, words: Words) -> Iterator[str]:
    """Cities that adopt in truth or in the draw; the others counted."""
    adopts = cities.dropna(subset=["adopts_in_truth", "adopts_in_draw"], how="all")
    years = adopts.astype(object).where(adopts.notna(), words("never"))
    rows = [(words("city"), words("adopts in truth"), words("in the draw"))]
    yield from _aligned([*rows, *(tuple(map(str, row)) for row in years.itertuples(index=False))])
    yield words("{count} cities adopt in neither", count=f"{len(cities) - len(adopts):,}")


def _by_value(cities: pd.DataFrame, words: Words) -> Iterator[str]:
    """Cities under the value they drew."""
    column = cities.columns[1]
    for value, names in cities.groupby(column)["city"]:
        yield words(
            "{quantity} {value} ({count} cities): {names}",
            quantity=words.in_context(column.replace("_", " "), "drawn"),
            value=f"{value:.4g}",
            count=f"{len(names):,}",
            names=words(", ").join(names),
        )


def _number(value: float) -> str:
    if np.isnan(value):
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.10g}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns two blanks apart, numbers to the right; Chinese characters are two places wide."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for first, *numbers in rows:
        padded = [
            " " * (width - cell_len(text)) + text for text, width in zip(numbers, widths[1:], strict=True)
        ]
        yield "  ".join([first + " " * (widths[0] - cell_len(first)), *padded])
