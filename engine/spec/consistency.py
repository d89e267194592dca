"""Which blocks of a job go together: those of city panels, of pair tables, and of their treatments.

Each function raises ValueError, which the model of a job reports as it does problems of single keys.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.estimate.estimators import ESTIMATORS, INSTRUMENT
from engine.pairs.outcomes import OUTCOMES
from engine.spec.block import NAME, PATTERNS
from engine.spec.design import Treatment
from engine.spec.effects import refuse_absorbed_policy

if TYPE_CHECKING:
    from engine.spec.job import Job

NO_TREATMENT = (
    "say treatment: {adoption: COLUMN, rule: exactly_one}, or status in place of adoption for a column of 0 before "
    "adoption and 1 from then on"
)
NO_OUTCOME = "say outcome: {synchronization: COLUMN}"


def check_pair_table(job: Job) -> None:
    """Raise ValueError for what a pair table lacks, or cannot have."""
    regressors, estimator = job.model.regressors or [], job.model.registered
    if job.outcome.column is None:
        raise ValueError("a pair_table job needs outcome.column")
    if not regressors and job.treatment is None:
        raise ValueError("a pair_table job needs model.regressors or treatment")
    if job.model.offset is not None and job.model.offset == job.outcome.column:
        raise ValueError(f"model.offset names '{job.model.offset}', which is the outcome")
    if job.outcome.column in regressors:
        raise ValueError(f"model.regressors names '{job.outcome.column}', which is the outcome")
    _check_slopes(job, regressors, "model.regressors")
    if estimator.uses_instrument:
        raise ValueError(f"model.estimator {estimator.name} is for city panels (panel)")
    if job.inference.jackknife and job.inference.jackknife.by != "city":
        raise ValueError("a pair_table job has no city columns, so inference.jackknife.by must be city")
    if job.inference.bootstrap and job.inference.bootstrap.kind == "pipeline":
        raise ValueError(
            "a pair_table job has no city panel that inference.bootstrap kind pipeline could resample"
        )
    if job.treatment is not None:
        _check_treated_pairs(job, job.treatment)
    elif estimator.needs_treatment:
        raise ValueError(
            f"model.estimator {estimator.name} needs treatment, which says when pairs are treated"
        )


def _check_treated_pairs(job: Job, treatment: Treatment) -> None:
    """The treatment of a pair table's pairs, or of their units."""
    estimator, regressors = job.model.registered, job.model.regressors or []
    if treatment.unit_adoption is not None and treatment.rule is None:
        raise ValueError(
            "treatment.unit_adoption goes with treatment.rule, which says when a pair of two units is treated"
        )
    if treatment.name in regressors:
        raise ValueError(f"model.regressors names '{treatment.name}' like the treatment term")
    if estimator.reweights:
        raise ValueError(
            f"model.estimator {estimator.name} takes its treatment as a column of model.regressors: take out treatment"
        )
    if job.model.lag:
        raise ValueError(
            "model.lag goes without treatment in a pair_table job: treatment.shift moves the adoption years"
        )
    if estimator.means_only and regressors:
        raise ValueError(f"model.estimator {estimator.name} has no controls; take out model.regressors")
    if job.table_block.weight is not None and (estimator.own_rows or estimator.means_only):
        raise ValueError(
            f"model.estimator {estimator.name} is not defined for weighted rows (pair_table.weight)"
        )
    if estimator.imputes and job.table_block.directed:
        raise ValueError(
            f"model.estimator {estimator.name} is for undirected pairs (pair_table.directed: false)"
        )
    if estimator.complete_pairs:
        refuse_left_out_rows(job, treatment)
    check_treatment(job, treatment)


def check_panel(job: Job) -> None:
    """Raise ValueError for what a city panel lacks, or cannot have."""
    if job.outcome.series is None:
        problem = f"a panel job needs {' or '.join(f'outcome.{name}' for name in OUTCOMES)}"
        raise InputError(problem, remedy=NO_OUTCOME)
    if job.treatment is None:
        raise InputError("a panel job needs treatment", remedy=NO_TREATMENT)
    _check_adoption(job.treatment)
    if job.model.registered.reweights:
        raise ValueError(f"model.estimator {job.model.estimator} is for pair tables (pair_table)")
    covariates = job.matching.covariates if job.matching else None
    for key, names in (("model.controls", job.model.controls), ("matching.covariates", covariates)):
        unknown = [name for name in names or [] if name not in job.controls]
        if unknown:
            control_names = ", ".join(job.controls) or "which is empty"
            raise ValueError(
                f"{key} names '{unknown[0]}', which is not defined under controls ({control_names})"
            )
    _check_slopes(job, job.used_controls, "the controls of the regression")
    if job.model.registered.means_only and job.used_controls:
        raise ValueError(f"model.estimator {job.model.estimator} has no controls; set model.controls: []")
    if job.matching and not job.model.registered.has_pair_sums:
        raise ValueError(f"model.estimator {job.model.estimator} has no matched samples; leave out matching")
    if job.treatment.name in job.controls:
        raise ValueError(f"a control is called '{job.treatment.name}' like the treatment term")
    if INSTRUMENT in job.controls:
        raise ValueError(f"a control cannot be called '{INSTRUMENT}', which is the instrument's name")
    if not job.model.treatment and not job.used_controls:
        raise ValueError("without the treatment (model.treatment: false) the model has no regressor")
    if job.model.reads_links and job.panel_block.links is None:
        raise ValueError("errors network need panel.links, the table that says which cities are linked")
    if job.model.registered.uses_instrument and job.instrument is None:
        raise ValueError(f"model.estimator {job.model.estimator} needs instrument")
    if job.model.registered.complete_pairs:
        refuse_left_out_rows(job, job.treatment)
    if job.matching and not job.matched_on:
        raise ValueError("matching needs controls to match on")
    check_treatment(job, job.treatment)


def _check_slopes(job: Job, names: Sequence[str], listed: str) -> None:
    """Slopes by year are of columns of the regression; some estimators have no other column then."""
    unknown = [name for name in job.model.by_year if name not in names]
    if unknown:
        raise ValueError(
            f"model.by_year names '{unknown[0]}', which is not among {listed} ({', '.join(names) or 'none'})"
        )
    standardised = [
        name for name in job.model.by_year if name in job.controls and job.controls[name].standardised
    ]
    if standardised:
        raise ValueError(
            f"model.by_year names '{standardised[0]}', a synchronization, which has no value at first: its series are "
            "standardised over all years"
        )
    if job.model.by_year and not any(effect.has_years for effect in job.model.effects):
        raise ValueError("model.by_year needs year effects: slopes by year are beside them")
    estimator = ESTIMATORS[job.model.estimator]
    others = [name for name in names if name not in job.model.by_year]
    if job.model.by_year and estimator.by_year and others:
        raise ValueError(
            f"model.estimator {estimator.name} with model.by_year has no other columns, and '{others[0]}' is one: its "
            f"one slope would be that of treated rows too; name it in by_year, or take estimator {estimator.by_year}"
        )


def _check_adoption(treatment: Treatment) -> None:
    """A city panel has a rule, and canonical names of its columns."""
    if treatment.rule is None:
        raise ValueError(
            "treatment.rule is missing, which says when a pair is treated: exactly_one, both, either or count"
        )
    for key in ("adoption", "status"):
        column = getattr(treatment, key)
        if column is not None and not re.fullmatch(NAME, column):
            raise ValueError(
                f"treatment.{key} '{column}' must be {PATTERNS[NAME]}; panel.columns gives a column another name"
            )


def refuse_left_out_rows(job: Job, treatment: Treatment) -> None:
    """Estimators of complete pairs have none whose rows the treatment leaves out."""
    for key, is_set, remedy in (
        ("treatment.around", treatment.around is not None, "null"),
        ("treatment.drop_treated", treatment.drop_treated, "false"),
    ):
        if is_set:
            raise ValueError(
                f"model.estimator {job.model.estimator} compares pairs that have all years and takes no {key}; "
                f"set {key}: {remedy} there"
            )


def check_treatment(job: Job, treatment: Treatment) -> None:
    """Raise ValueError where a rule gives pairs no single adoption year, and something needs one."""
    rule, both_treated_kept = treatment.pair_rule, job.pairs.exclude == "none"
    adopts_twice = rule == "count" or (rule == "exactly_one" and both_treated_kept)
    estimator, options = job.model.registered, job.model.options
    takes_paths = estimator.reverses or options.compare_types(estimator)
    by_event_time = estimator.by_event_time and not takes_paths
    if adopts_twice and (by_event_time or treatment.around or treatment.drop_treated):
        purpose = "an event study" if by_event_time else "years around adoption"
        raise ValueError(
            f"{purpose} of rule {rule} has no single adoption year for pairs that adopt twice; "
            "use pairs.exclude: both_treated, rule either or both, de_chaisemartin, or callaway_santanna with cohorts: "
            "cities"
        )
    if "goodman_bacon" in job.model.diagnostics and (adopts_twice or job.used_controls):
        reason = f"of rule {rule}, under which pairs adopt twice" if adopts_twice else "with controls"
        raise ValueError(f"model.diagnostics goodman_bacon is not defined for regressions {reason}")
    if job.model.treatment and treatment.rule is not None:
        effects, term = job.model.effects, treatment.name
        refuse_absorbed_policy(effects, term=term, rule=rule, both_treated_kept=both_treated_kept)
    if rule in ("both", "count") and not both_treated_kept:
        raise ValueError(f"rule {rule} needs the pairs that pairs.exclude: both_treated removes")
