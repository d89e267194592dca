"""Number of cities whose adoption is behind a treatment coefficient: with few of them no standard error holds.

With one adopter the scores of its pairs add up to zero whatever the errors, so every sum over cities is too small
(MacKinnon and Webb 2017; for dyads the README's simulation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.stages.estimation import Estimated
from engine.stages.prepare_passes import Prepared


def with_adopters(prepared: Prepared, cells: Sequence[Estimated]) -> list[Estimated]:
    """The cells of a pass with the number of adopting cities in each one's estimation sample."""
    return [replace(estimated, n_adopters=_count(prepared, estimated)) for estimated in cells]


def _count(prepared: Prepared, estimated: Estimated) -> int | None:
    """Cities that adopt within the sample and stand in a pair whose treatment varies over its rows.

    None where the cell has no treatment term, or pairs are treated themselves. An event study follows cities that
    adopted before the sample too, since their event years vary; but for one of changes within the sample.
    """
    job, adoption = estimated.cell.job, prepared.adoption
    if estimated.in_moving_pairs is None or job.treatment is None or adoption.of_pairs is not None:
        return None
    start, years = adoption.years + job.treatment.shift, prepared.pass_cells.data.years
    adopts = start <= years[-1] - job.model.lag
    if not job.model.registered.by_event_time or job.model.registered.reverses:
        adopts &= start > years[0]
    return int((adopts[adoption.classes] & estimated.in_moving_pairs).sum())
