"""Pairs and rows left after each filter, for the manifest and the reader."""

from __future__ import annotations

from dataclasses import dataclass

from engine.notes import Note
from engine.pairs.design import Design, PanelDesign
from engine.pairs.gravity import PairSample
from engine.spec import Job
from engine.stages.load_data import CityData, PairData


@dataclass(frozen=True)
class Step:
    """One filter: a note that names it, and the pairs and pair-years that passed it."""

    step: Note
    pairs: int
    rows: int


def filter_steps(
    data: CityData | PairData, sample: PairSample | None, design: Design, job: Job
) -> tuple[Step, ...]:
    """Counts before the pass; rows still include those whose columns are, or turn out, missing."""
    if isinstance(data, PairData):
        return (
            Step(
                Note("table_pairs"),
                data.validation.n_pairs,
                data.validation.n_rows,
            ),
        )
    assert sample is not None
    years = data.panel.n_years
    steps = [Step(Note.of("all_pairs", count=sample.n_units), sample.n_pairs, sample.n_pairs * years)]
    if job.pairs.exclude == "both_treated":
        steps.append(Step(Note("both_treated_excluded"), sample.n_eligible, sample.n_eligible * years))
    if sample.n_kept is not None:
        steps.append(Step(Note("gravity_above_median"), sample.n_kept, sample.n_kept * years))
    if isinstance(design, PanelDesign) and design.split is not None and job.pairs.split is not None:
        n = design.split.n_pairs
        name = Note.of("split_class", part=job.pairs.split.pairs, column=job.pairs.split.by)
        steps.append(Step(name, n, n * years))
    if isinstance(design, PanelDesign) and design.matches is not None:
        matched = design.matches
        steps.append(Step(Note("matched"), len(matched.code), int((matched.weights > 0).sum())))
    return tuple(steps)
