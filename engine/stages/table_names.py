"""Names that nothing has, refused before anything runs: of the block ``table``, and the font of ``figures``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence

from engine.errors import InputError
from engine.estimate.estimators import INSTRUMENT
from engine.estimate.terms import names_of
from engine.report.table_style import matches
from engine.spec import Job, Plan
from engine.stages.pass_cells import columns_of
from engine.stages.prepare_passes import Prepared
from engine.stages.treatment_terms import reported_names

_SHOWN = 20  # terms that a remedy lists
_EVENT_YEAR = re.compile(r"(\w+)\[[+-]?\d+\]")


def refuse_unknown_names(plan: Plan, prepared: Sequence[Prepared]) -> None:
    """Raise InputError for a name of ``table`` that neither a term of some cell nor the job itself has.

    A layout that comes by ``extends``, and a job that the command line changes, may name what another variant of the
    job has: these pass.
    """
    loaded = plan.loaded
    if any(file == "--set" and keys[0] != "table" for keys, file in loaded.written_in.items()):
        return
    terms = list(dict.fromkeys(term for shared_pass in prepared for term in _terms(shared_pass)))
    jobs = [cell.job for cell in plan.cells]
    names = list(dict.fromkeys([*terms, *(name for job in jobs for name in _declared(job))]))
    with_outcomes = [*names, *(name for job in jobs for name in _outcomes(job))]
    layout, writers = loaded.job.table, (str(loaded.path), "--set")
    for label in layout.labels:
        if (
            loaded.written_in.get(("table", "labels", label), writers[0]) in writers
            and label not in with_outcomes
        ):
            _refuse(label, "labels", terms, with_outcomes, jobs)
    for key in ("keep", "drop", "order"):
        for pattern in getattr(layout, key) if loaded.written_in.get(("table", key)) in writers else ():
            if not any(matches(pattern, name) for name in names):
                _refuse(pattern, key, terms, names, jobs)


def refuse_unknown_font(job: Job) -> None:
    """Raise InputError for a font that is not installed."""
    font = job.figures.font
    if font is None:
        return
    from engine.report.figure_style import installed_fonts

    fonts = installed_fonts()
    if font not in fonts:
        near = difflib.get_close_matches(font, fonts, n=3)
        raise InputError(
            f"no font '{font}' is installed",
            where="figures.font",
            remedy=f"take one that is, such as {', '.join(near or fonts[:3])}, or leave the key out",
        )


def _refuse(name: str, key: str, terms: Sequence[str], names: Sequence[str], jobs: Sequence[Job]) -> None:
    event = _EVENT_YEAR.fullmatch(name)
    if event and event[1] in {job.treatment.name for job in jobs if job.treatment}:
        return  # a year that the sample lacks, or that of the base
    near = difflib.get_close_matches(name, names, n=1)
    more = ", ..." if len(terms) > _SHOWN else ""
    raise InputError(
        f"no cell has '{name}'",
        where=f"table.{key}",
        remedy=f"did you mean '{near[0]}'?" if near else f"the terms are {', '.join(terms[:_SHOWN])}{more}",
    )


def _terms(prepared: Prepared) -> Iterator[str]:
    """Treatment terms and regressors of all cells of a pass."""
    for cell, paths in zip(prepared.pass_cells.cells, prepared.terms, strict=True):
        yield from reported_names(cell.job, paths)
        yield from cell.job.model.regressors or cell.job.used_controls
        yield from names_of(columns_of(cell, prepared.pass_cells.controls))


def _declared(job: Job) -> Iterable[str]:
    """Names that a regression of the job could have, by another model or another estimator."""
    treatment = [job.treatment.name] if job.treatment else []
    return (*treatment, *job.controls, *([INSTRUMENT] if job.instrument else []))


def _outcomes(job: Job) -> Iterable[str]:
    """The outcome and its series, which have labels too."""
    return (job.outcome.name, job.outcome.name.partition(" of ")[2])
