"""Validation of the ``inference`` block against a pass, before any work: terms, strata, rows, direction of tables."""

from __future__ import annotations

import math

import numpy as np

from engine.arrays import AnyIntegers, Integers
from engine.errors import InputError
from engine.pairs.design import PairDesign
from engine.pairs.gravity import PairSample
from engine.pairs.treatment import Terms
from engine.report.outputs.regression_table import EVENT_TERM
from engine.spec import Cell, Job
from engine.spec.inference import PermutationTest
from engine.stages.event_years import refuse_impossible_sets
from engine.stages.groups import labels_of
from engine.stages.job_data import JobData
from engine.stages.memory import memory_bytes
from engine.stages.pass_cells import PassCells
from engine.stages.treatment_terms import reported_names


def refuse_impossible(pass_cells: PassCells, terms: tuple[Terms, ...]) -> None:
    """Raise InputError for what no draw could answer."""
    for cell, cell_terms in zip(pass_cells.cells, terms, strict=True):
        permutation = cell.job.inference.permutation
        if permutation is not None:
            _refuse_permutation(cell, permutation, cell_terms, pass_cells.data)
        jackknife = cell.job.inference.jackknife
        if jackknife is not None and jackknife.by != "city":
            labels_of(pass_cells.data, jackknife.by, key="inference.jackknife.by")
        bootstrap = cell.job.inference.bootstrap
        refuse_impossible_sets(cell.job, cell.label, _event_times(cell.job, cell_terms))
        _refuse_draws_beyond_moments(cell)
        if cell.job.model.by_rows:
            _refuse_draws(cell)
        treatment = cell.job.treatment if cell.job.pair_table else None
        of_pairs = treatment is not None and treatment.unit_adoption is None
        if bootstrap is not None and bootstrap.kind == "node" and of_pairs:
            raise InputError(
                "inference.bootstrap kind node is not defined where pairs are treated themselves",
                where=f"cell '{cell.label}': inference.bootstrap.kind",
                remedy="use kind: multiplier",
            )
        if bootstrap is not None and bootstrap.kind == "node" and pass_cells.data.directed:
            raise InputError(
                "the node bootstrap is not defined for directed tables",
                where="inference.bootstrap.kind",
                remedy="use kind: multiplier",
            )


def _event_times(job: Job, terms: Terms) -> list[int]:
    """Event years of the coefficients that a cell reports."""
    matches = map(EVENT_TERM.fullmatch, reported_names(job, terms))
    return [int(match["time"]) for match in matches if match]


def refuse_large_parts(
    pass_cells: PassCells, terms: tuple[Terms, ...], design: PairDesign, n_pairs: int
) -> None:
    """Raises InputError where the two-way wild bootstrap would keep more of the pairs than half the memory."""
    n_terms = len({name for of_cell in terms for name in of_cell.names})
    n_columns = design.n_years + design.n_columns + n_terms
    for cell, cell_terms in zip(pass_cells.cells, terms, strict=True):
        needed = 8.0 * n_pairs * n_columns * (4 + 2 * max(1, len(cell_terms.names)))  # one at work, all kept
        bootstrap, memory = cell.job.inference.bootstrap, cell.job.runtime.memory
        if bootstrap is None or bootstrap.kind != "two_way_wild" or needed <= memory_bytes(memory) / 2:
            continue
        raise InputError(
            f"inference.bootstrap kind two_way_wild keeps {needed / 1e9:.1f} GB of {n_pairs:,} pairs, and has half of "
            f"runtime.memory ({memory})",
            where=f"cell '{cell.label}': inference.bootstrap.kind",
            remedy=f"give runtime.memory: {math.ceil(2 * needed / 1e9)}GB, or use kind multiplier",
        )


def permuted_by_refits(job: Job) -> bool:
    """Whether draws of a permutation are the whole cell again, since no sums by type have all that it needs."""
    estimator = job.model.registered
    by_sums = "permutation" in estimator.redrawn and not estimator.uses_instrument
    is_directed = job.pair_table is not None and job.pair_table.directed
    return job.matching is not None or job.model.by_rows or is_directed or not by_sums


def reassigned(job: Job, design: PairDesign) -> Integers:
    """A code a city of what a permutation reassigns: when it adopts; with an instrument its series, each of its own."""
    return (
        np.arange(design.n_units, dtype=np.int32) if job.model.registered.uses_instrument else design.classes
    )


def _refuse_draws(cell: Cell) -> None:
    """Bootstraps of cities, and leave-outs, are contractions of moments that have pair and year effects only."""
    inference = cell.job.inference
    keys = ["inference.jackknife"] if inference.jackknife is not None else []
    if inference.bootstrap is not None and inference.bootstrap.kind != "multiplier":
        keys.append(f"inference.bootstrap kind {inference.bootstrap.kind}")
    if keys:
        raise InputError(
            f"{keys[0]} has pair and year effects only, not {', '.join(cell.job.model.fixed_effects)}",
            where=f"cell '{cell.label}': model.fixed_effects",
            remedy="use [pair, year] there, or inference.bootstrap kind multiplier; leave-one-city-out errors are "
            "jackknife of model.errors",
        )


def _refuse_draws_beyond_moments(cell: Cell) -> None:
    """No bootstrap refits an instrument or matches anew; those of city scores need not."""
    job, estimator = cell.job, cell.job.model.registered
    blocks = {name: getattr(job.inference, name) for name in ("permutation", "bootstrap", "jackknife")}
    kinds = {name: getattr(block, "kind", name) for name, block in blocks.items() if block is not None}
    requested = [name for name, kind in kinds.items() if kind != "multiplier"]
    refitted = () if estimator.uses_instrument else ("permutation",)
    beyond = [name for name in requested if kinds[name] not in (*estimator.redrawn, *refitted)]
    matched = [name for name in requested if name != "permutation"] if job.matching is not None else []
    weighted = job.pair_table is not None and job.pair_table.weight is not None
    for refused, key, case in (
        (beyond, "model.estimator", f"estimator {job.model.estimator}"),
        (matched, "matching", "a matched sample"),
        (requested if weighted else [], "pair_table.weight", "weighted rows"),
    ):
        if refused:
            raise InputError(
                f"inference.{refused[0]} is not defined for {case}",
                where=f"cell '{cell.label}': {key}",
                remedy="use inference.bootstrap kind multiplier there, or model.errors",
            )


def _refuse_permutation(cell: Cell, block: PermutationTest, terms: Terms, job_data: JobData) -> None:
    job = cell.job
    if not job.model.treatment:
        raise InputError(
            f"cell '{cell.label}' has no treatment that inference.permutation could reassign",
            where="model.treatment",
            remedy="take the permutation out of this job",
        )
    names = reported_names(job, terms)
    unknown = [name for name in block.terms or () if name not in names]
    if unknown:
        problem = (
            f"'{unknown[0]}' is a control, which stays as it is when adoption is reassigned: no draw tests it"
            if unknown[0] in job.used_controls
            else f"'{unknown[0]}' is no term of cell '{cell.label}'"
        )
        raise InputError(
            problem,
            where="inference.permutation.terms",
            remedy=f"the treatment's terms are {', '.join(names)}",
        )
    strata_codes(job_data, block.strata)


def strata_of(job_data: JobData, sample: PairSample, strata: list[str]) -> Integers | None:
    """The strata within which adoption is randomly reassigned among the cities of a sample.

    Cities whose gravity mass is missing form no pair of the sample: adoption is reassigned among them apart, so that
    every draw has as many treated cities among the others as happened.
    """
    codes, has_force = strata_codes(job_data, strata), sample.has_force
    if sample.n_kept is None or has_force.all():
        return codes
    codes = np.zeros(len(has_force), dtype=np.int32) if codes is None else codes
    return np.unique(2 * codes + ~has_force, return_inverse=True)[1].astype(np.int32)


def strata_codes(job_data: JobData, strata: list[str]) -> Integers | None:
    """One code a city for every combination of the strata; ``column:k`` cuts numbers into k classes of equal size."""
    if not strata:
        return None
    combined = [_classes_of(job_data, name) for name in strata]
    return np.unique(np.stack(combined, axis=1), axis=0, return_inverse=True)[1].ravel().astype(np.int32)


def _classes_of(job_data: JobData, name: str) -> AnyIntegers:
    column, colon, number = name.partition(":")
    labels = labels_of(job_data, column, key="inference.permutation.strata")
    if not colon:
        return np.unique(labels, return_inverse=True)[1]
    try:
        values, k = np.array([float(label) for label in labels]), int(number)
    except ValueError:
        k = 0
    if k < 1 or not np.isfinite(values).all():
        raise InputError(
            f"'{name}' needs a number column and a number of classes",
            where="inference.permutation.strata",
            remedy="e.g. land_area:4",
        )
    return np.argsort(np.argsort(values, kind="stable"), kind="stable") * k // len(values)
