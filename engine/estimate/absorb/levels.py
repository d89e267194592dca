"""Levels of fixed effects: which rows are kept, which effects are spanned by others, what they cost in freedom.

Integers only. An effect gives each row one level (pair, year), or two levels that both apply to it (city x year,
through either member of an unordered pair).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.arrays import AnyIntegers, Array, Flags, LongIntegers
from engine.errors import InputError

SAMPLE = 4096
"""Rows that can show that an effect is not spanned before all rows are read."""


@dataclass(frozen=True)
class Effect:
    """A fixed effect.

    Attributes
    ----------
    name : str
    codes : int ``[n_rows]`` or ``[n_rows, 2]``
        Level of each row, from 0; with two columns, both levels are added to the row.
    """

    name: str
    codes: AnyIntegers


@dataclass(frozen=True)
class Levels:
    """An effect on the rows that are kept.

    Attributes
    ----------
    name : str
    codes : int32 ``[n_rows, members]``
    size : int
        Length of an array indexed by code; some codes may have no row.
    counts : int ``[size]``
        Rows of each level.
    """

    name: str
    codes: AnyIntegers
    size: int
    counts: LongIntegers

    @property
    def n_levels(self) -> int:
        """Levels that occur."""
        return int(np.count_nonzero(self.counts))

    @property
    def members(self) -> int:
        return int(self.codes.shape[1])


@dataclass(frozen=True)
class Design:
    """Effects on the rows that are kept, examined before any column is read.

    Attributes
    ----------
    kept : bool ``[n_rows]``
    n_singletons : int
        Rows dropped because a level had no other row, again until there were none.
    effects : tuple of Levels
        All effects, in the order given.
    active : tuple of int
        Those that no other effect spans, by falling number of levels, effects with one level a row first.
    weights : float64 ``[n_kept]``, or None if all rows weigh the same
    """

    kept: Flags
    n_singletons: int
    effects: tuple[Levels, ...]
    active: tuple[int, ...]
    weights: Array | None

    @property
    def n_rows(self) -> int:
        return len(self.effects[0].codes)


def examine(effects: Sequence[Effect], *, weights: Array | None = None, singletons: str = "drop") -> Design:
    """Check effects and weights, drop singletons, and leave out effects that others span.

    Parameters
    ----------
    effects : sequence of Effect
    weights : float64 ``[n_rows]``, optional
        Positive.
    singletons : ``drop`` or ``keep``
        Rows that are alone in a level are fitted exactly whatever the coefficients: they tell nothing.

    Raises
    ------
    InputError
        Where codes or weights are no codes or weights, or no row is left.
    """
    if not effects:
        raise ValueError("expected at least one effect, got none")
    levels = [_levels(effect) for effect in effects]
    n_rows = len(levels[0].codes)
    for effect in levels:
        if len(effect.codes) != n_rows:
            raise ValueError(f"expected {n_rows} codes of '{effect.name}', got {len(effect.codes)}")
    if weights is not None:
        weights = np.asarray(weights, dtype=np.float64)
        if weights.shape != (n_rows,):
            raise ValueError(f"expected weights of shape {(n_rows,)}, got {weights.shape}")
        if not (np.isfinite(weights) & (weights > 0)).all():
            raise InputError("weights must be positive and finite", remedy="leave out rows of weight zero")
    retained, levels = _drop_singletons(levels) if singletons == "drop" else (np.ones(n_rows, bool), levels)
    n_kept = int(retained.sum())
    if n_kept == 0:
        names = ", ".join(effect.name for effect in levels)
        raise InputError(f"no row is left: each is alone in a level of {names}", remedy="use coarser effects")
    if weights is not None:
        weights = None if (weights == weights[0]).all() else weights[retained]
    return Design(retained, n_rows - n_kept, tuple(levels), _active(levels), weights)


def rows_not_alone(effects: Sequence[Effect]) -> Flags:
    """Rows ``[n_rows]`` that stay where those alone in a level are dropped until there are none."""
    return _drop_singletons([_levels(effect) for effect in effects])[0]


def _levels(effect: Effect) -> Levels:
    codes = np.asarray(effect.codes)
    if codes.ndim not in (1, 2) or (codes.ndim == 2 and codes.shape[1] not in (1, 2)):
        raise ValueError(f"expected codes [n_rows] or [n_rows, 2] of '{effect.name}', got {codes.shape}")
    if codes.dtype.kind not in "iu" or codes.size == 0 or codes.min() < 0:
        raise ValueError(f"expected integer codes from 0 of '{effect.name}', got {codes.dtype}")
    codes = codes.reshape(len(codes), -1)
    if codes.shape[1] == 2 and (codes[:, 0] == codes[:, 1]).any():
        raise InputError(
            f"a row has the same level of '{effect.name}' twice", remedy="drop pairs of one unit"
        )
    if codes.max() > 4 * codes.size + 1024:  # far more codes than rows: number those that occur
        codes = np.unique(codes, return_inverse=True)[1].reshape(codes.shape)
    size = int(codes.max()) + 1
    counts = np.bincount(codes.ravel(), minlength=size)
    return Levels(effect.name, np.asarray(codes, dtype=np.int32), size, counts)


def _drop_singletons(effects: list[Levels]) -> tuple[Flags, list[Levels]]:
    """Rows kept when levels with one row are dropped until there are none, and the effects on them."""
    n_rows = len(effects[0].codes)
    retained = np.ones(n_rows, bool)
    counts = [effect.counts.copy() for effect in effects]
    while any((count == 1).any() for count in counts):
        singletons = np.zeros(n_rows, bool)
        for effect, count in zip(effects, counts, strict=True):
            singletons |= (count[effect.codes] == 1).any(axis=1)
        singletons &= retained
        retained &= ~singletons
        for effect, count in zip(effects, counts, strict=True):
            count -= np.bincount(effect.codes[singletons].ravel(), minlength=effect.size)
    if retained.all():
        return retained, effects
    return retained, [
        Levels(effect.name, np.ascontiguousarray(effect.codes[retained]), effect.size, count)
        for effect, count in zip(effects, counts, strict=True)
    ]


def _active(effects: list[Levels]) -> tuple[int, ...]:
    """Positions of effects that are not spanned, largest first, those with one level a row before the others."""
    order = sorted(range(len(effects)), key=lambda k: (-effects[k].n_levels, k))
    active: list[int] = []
    for k in order:
        if not any(spans(effects[fine].codes, effects[k].codes, effects[fine].size) for fine in active):
            active.append(k)
    return tuple(sorted(active, key=lambda k: (effects[k].members, -effects[k].n_levels, k)))


def spans(fine: AnyIntegers, coarse: AnyIntegers, size: int) -> bool:
    """Whether the levels of one effect add up to those of another, so that the other adds nothing.

    An effect with one level a row spans all that is constant within its levels. Levels that apply through both
    members add up to a coarser effect where one map takes each level to its coarse one: city x year spans year.

    Parameters
    ----------
    fine, coarse : int ``[n_rows, members]``
    size : int
        Codes of the fine effect are below it.
    """
    return _maps(fine[:SAMPLE], coarse[:SAMPLE], size) and _maps(fine, coarse, size)


def _maps(fine: AnyIntegers, coarse: AnyIntegers, size: int) -> bool:
    if fine.shape[1] == 1:
        return all(_is_function(fine[:, 0], column, size) for column in coarse.T)
    members = fine.shape[1]
    targets = coarse if coarse.shape[1] == members else np.repeat(coarse, members, axis=1)
    return _is_function(fine.ravel(), targets.ravel(), size)


def _is_function(source: AnyIntegers, target: AnyIntegers, size: int) -> bool:
    source = source.astype(np.intp)  # else it is cast element by element
    image = np.zeros(size, dtype=target.dtype)
    image[source] = target
    return np.array_equal(np.take(image, source), target)


def nested_in(codes: AnyIntegers, clusters: AnyIntegers) -> bool:
    """Whether each level lies within one cluster (of one of the columns, for clusters in several ways).

    Parameters
    ----------
    codes : int ``[n_rows]`` or ``[n_rows, 2]``
    clusters : int ``[n_rows]`` or ``[n_rows, ways]``
    """
    codes, clusters = (np.asarray(part).reshape(len(part), -1) for part in (codes, clusters))
    size = int(codes.max()) + 1
    return any(
        _is_function(codes.ravel(), np.repeat(way, codes.shape[1]), size)
        for way in np.ascontiguousarray(clusters.T)
    )


def degrees_absorbed(n_levels: Sequence[int], nested: Sequence[bool] | None = None) -> int:
    """Degrees of freedom that effects use, as fixest counts them (`fixef.K = "nonnested"`).

    sum of levels - (effects - 1), less the levels of effects nested in the clusters, plus one for each of these.

    Parameters
    ----------
    n_levels : sequence of int
        Levels of all effects, spanned ones too.
    nested : sequence of bool, optional
        Effects that are nested in the clusters; none if left out.
    """
    nested = [False] * len(n_levels) if nested is None else nested
    total = sum(n_levels) - max(len(n_levels) - 1, 0)
    return total - sum(levels - 1 for levels, is_nested in zip(n_levels, nested, strict=True) if is_nested)
