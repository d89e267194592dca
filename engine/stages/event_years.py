"""Event years of a cell whose coefficients are of one year each, and what ``inference.honest`` needs of them."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import InputError
from engine.infer.honest.restrictions import EventTimes
from engine.spec import Job


def refuse_impossible_sets(job: Job, label: str, times: Sequence[int]) -> None:
    """Raises InputError where a cell's event years cannot bear what ``inference.honest`` asks.

    ``times`` are those of its coefficients.
    """
    block = job.inference.honest
    if block is None or job.model.omitted_year is None:
        return
    where, years = f"cell '{label}': inference.honest", single_years(job, times)
    n_before = int((~years.after).sum())
    least = 1 if block.kind == "relative_magnitudes" else 0
    if not years.consecutive:
        shown = ", ".join(map(str, sorted((*years.times, years.reference))))
        raise InputError(
            f"event years {shown} have gaps, so that no change from a year to the next is known",
            where=where,
            remedy="choose model.base next to the other event years",
        )
    if n_before < least:
        raise InputError(
            "no event year before adoption but the reference period, so no change of trends before it is known",
            where=where,
            remedy="let model.window begin earlier, or use model.ends: drop (pooled years are left out)",
        )
    if not years.effects:
        raise InputError("no effect is estimated", where=where, remedy="let model.window end later")
    if block.effect != "average" and block.effect not in years.effects:
        raise InputError(
            f"no effect of event year {block.effect} is estimated",
            where=f"{where}.effect",
            remedy=f"event years with an effect are {', '.join(map(str, years.effects))}",
        )


def single_years(job: Job, times: Sequence[int]) -> EventTimes:
    """Event years without those that are pooled at the ends of the window."""
    model = job.model
    pooled = set(model.window) if "ends" in model.registered.options and model.ends == "bin" else set()
    reference = -1 if model.omitted_year is None else model.omitted_year
    single = tuple(sorted(set(times) - pooled - {reference}))
    return EventTimes(single, reference, -model.options.anticipation)
