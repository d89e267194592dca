"""From ``model.fixed_effects`` and the data to effects that give every pair-year its level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.arrays import Integers
from engine.errors import InputError
from engine.pairs.design import Design
from engine.pairs.gravity import check_degrees, unit_vectors
from engine.pairs.pair_effects import (
    OfBothEnds,
    OfColumn,
    OfDistance,
    OfLabelPairs,
    OfPairs,
    OfYears,
    PairEffect,
)
from engine.pairs.treatment import Terms
from engine.spec.effects import FixedEffect, absorbed
from engine.stages.groups import group_codes
from engine.stages.load_data import CityData, PairData
from engine.stages.make_design import Shared
from engine.stages.memory import memory_bytes

_COPIES = 8  # of the columns at once: made, merged, put together, absorbed, weighted; measured


def pair_effects(
    shared: Shared, design: Design, terms: Sequence[Terms], *, n_rows: int
) -> tuple[PairEffect, ...]:
    """The effects of the cells of a pass; none where they are pair and year, which moments take out.

    Raises
    ------
    InputError
        Where a city has no label, or no place, or the rows do not fit ``runtime.memory``.
    """
    effects = shared.job.model.effects
    if not absorbed(effects):
        return ()
    memory = shared.job.runtime.memory
    n_columns = design.n_columns + max(len(own.names) for own in terms)
    needed = 8.0 * n_rows * (_COPIES * n_columns + 2 * len(effects))
    if needed > memory_bytes(memory):
        raise InputError(
            f"{n_rows:,} pair-years take {needed / 1e9:.1f} GB where effects other than pair and year are taken out "
            f"row by row, more than runtime.memory allows ({memory})",
            where="runtime.memory",
            remedy=f"allow at least {needed / 1e9 * 1.2:.1f}GB, or keep fewer pairs",
        )
    return tuple(_built(effect, shared.data) for effect in effects)


def _built(effect: FixedEffect, data: CityData | PairData) -> PairEffect:
    units = data.panel.units if isinstance(data, CityData) else data.pairs.units
    if effect.kind == "pair":
        return OfPairs(effect.text)
    if effect.kind == "year":
        return OfYears(effect.text)
    if effect.kind == "city":
        return OfBothEnds(effect.text, np.arange(len(units), dtype=np.int32))
    if isinstance(data, PairData):
        return OfColumn(effect.text, data.pairs.levels[effect.column], effect.by_year)
    if effect.kind == "distance":
        latitude, longitude = data.panel.constant("latitude"), data.panel.constant("longitude")
        check_degrees(units, latitude, longitude)
        return OfDistance(effect.text, unit_vectors(latitude, longitude), effect.classes)
    labels = _labels(data, effect)
    return (
        OfLabelPairs(effect.text, labels) if effect.kind == "column_pair" else OfBothEnds(effect.text, labels)
    )


def _labels(data: CityData, effect: FixedEffect) -> Integers:
    return group_codes(data, effect.column, key=f"'{effect.text}'")[1]
