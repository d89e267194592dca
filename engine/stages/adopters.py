"""How many cities' adoption is behind a treatment coefficient: with few of them no standard error holds.

With one adopter the scores of its pairs add up to zero whatever the errors, so every sum over cities is too small
(MacKinnon and Webb 2017; for dyads the README's simulation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.pairs.treatment import NEVER
from engine.stages.estimation import Estimated
from engine.stages.load_data import CityData
from engine.stages.prepare_passes import Prepared


def with_adopters(prepared: Prepared, results: Sequence[Estimated]) -> list[Estimated]:
    """The cells of a pass with the number of adopting cities in each one's estimation sample."""
    return [replace(result, n_adopters=_count(prepared, result)) for result in results]


def _count(prepared: Prepared, result: Estimated) -> int | None:
    """Cities that adopt within the sample and stand in a pair whose treatment varies over its rows.

    None where the cell has no treatment term. An event study follows every city that ever adopts, since its event
    years vary before and after the sample's ends too.
    """
    job, adoption, data = result.cell.job, prepared.adoption, prepared.shared.data
    if result.in_moving_pairs is None or adoption is None or job.treatment is None:
        return None
    assert isinstance(data, CityData)
    adopts = adoption.years < NEVER
    if not job.model.registered.by_event_time:
        start = adoption.years + job.treatment.shift
        first, last = data.panel.years[0], data.panel.years[-1]
        adopts = (start > first) & (start <= last - job.model.lag)
    return int((adopts[adoption.classes] & result.in_moving_pairs).sum())
