"""The statistics of every pair that a draw may need, sorted by gravity force and read tile by tile.

Draws relabel or reweight cities; the statistics of a pair never change. With the pairs sorted by force, the
gravity screen of any draw is a position in the table. The table is kept where it fits into memory; where it
does not, its tiles are computed again from the city arrays whenever they are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from engine.pairs import kernels
from engine.pairs.design import Design, PanelDesign, padded
from engine.pairs.moments import Layout
from engine.pairs.passes import MomentPass, city_arrays, kernel_rule

Array = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int32]]

TILE = 1024
"""Pairs of a tile: its statistics fit a core's cache."""


@dataclass(frozen=True, eq=False)
class Source:
    """What the statistics of pairs are computed from.

    Attributes
    ----------
    setting : MomentPass
    layout : Layout
        That of the setting, with a column for the treatment that happened where one is wanted.
    observed : float64 ``[n_classes, n_classes, T]`` or None
        Treatment path that happened, by the units' own classes.
    """

    setting: MomentPass
    layout: Layout
    observed: Array | None


@dataclass(frozen=True)
class Tile:
    """Consecutive pairs of the table. All tiles have one length, so the last may repeat pairs of the one before.

    Attributes
    ----------
    at : int
        Position of the first pair in the table.
    fresh : int
        Position of the first pair that no tile before had.
    i, j : int32 ``[length]``
    features : float64 ``[length, size]``
        A view of the table, or an array of JAX.
    """

    at: int
    fresh: int
    i: Integers
    j: Integers
    features: Any


@dataclass(frozen=True)
class PairFeatures:
    """Statistics by pair.

    Attributes
    ----------
    layout : Layout
    i, j : int32 ``[n_pairs]``
        Unit positions; by force, strongest first, where there is a gravity screen.
    features : float64 ``[n_pairs, size]`` or None
        Zero for pairs without two observed years; None where tiles are computed when they are read. What
        ``source`` gives, so it does not count in comparisons, nor in the fingerprints of finished work.
    tie_start : int32 ``[n_pairs]``
        First pair of the same force (the pair itself where forces differ).
    n_units : int
    n_screened : int or None
        Pairs above the screen of the sample itself, over all pairs, eligible or not; None without a screen.
    source : Source
        What features, or tiles, are computed from.
    """

    layout: Layout
    i: Integers
    j: Integers
    features: Array | None = field(compare=False)
    tie_start: Integers
    n_units: int
    n_screened: int | None
    source: Source

    def tiles(self, stop: int, *, start: int = 0, length: int | None = None) -> Iterator[Tile]:
        """Tiles that cover the pairs from ``start`` up to ``stop`` (and, in the last one, a few beyond)."""
        length = min(length or TILE, len(self.i))
        for fresh in range(start, stop, length):
            at = min(fresh, len(self.i) - length)
            part = slice(at, at + length)
            if self.features is not None:
                features: Any = self.features[part]
            else:
                features = _statistics(self.source, self.i, self.j, part, length)[0]
            yield Tile(at, fresh, self.i[part], self.j[part], features)


def pair_features(
    design: Design,
    *,
    every_screen: bool,
    memory_bytes: float,
    observed: Array | None = None,
) -> PairFeatures:
    """Statistics of all pairs of a design, whatever their treatment.

    Parameters
    ----------
    design : PanelDesign or TableDesign
    every_screen : bool
        Keep the pairs that the median screen of any reassignment may let through, not only those that the
        sample's own threshold does.
    memory_bytes : float
        What the table may take; where it would take more, none is kept, and tiles are computed when they are read.
    observed : float64 ``[n_classes, n_classes, T]``, optional
        Treatment path that happened, by the units' own classes: one more column before the outcome.
    """
    i, j, tie_start, n_screened = _pairs(design, every_screen=every_screen)
    for balanced in [True, False] if design.complete else [False]:
        layout = Layout(design.n_years, design.n_columns + (observed is not None), balanced)
        source = Source(MomentPass(design, balanced), layout, observed)
        kept = 8.0 * len(i) * layout.size <= memory_bytes
        features = np.empty((len(i), layout.size)) if kept else None
        if not _fill(features, source, i, j):
            break
    return PairFeatures(layout, i, j, features, tie_start, design.n_units, n_screened, source)


def _pairs(design: Design, *, every_screen: bool) -> tuple[Integers, Integers, Integers, int | None]:
    """Pairs, ties and screened count; a screen keeps the strongest that any draw can reach."""
    if not isinstance(design, PanelDesign):
        return design.i, design.j, np.arange(len(design.i), dtype=np.int32), None
    i, j = (side.astype(np.int32) for side in np.triu_indices(design.n_units, 1))
    sample = design.sample
    if sample.gravity is None or sample.n_kept is None:
        return i, j, np.arange(len(i), dtype=np.int32), None
    force = sample.gravity.ln_force(i, j)
    order = np.argsort(-force, kind="stable")
    force = force[order]
    screened = int((force > sample.gravity.threshold).sum())
    fresh = np.concatenate([[True], force[1:] != force[:-1]])
    tie_start = np.maximum.accumulate(np.where(fresh, np.arange(len(force)), 0)).astype(np.int32)
    reach = sample.n_eligible // 2 + (sample.n_pairs - sample.n_eligible) + 1 if every_screen else screened
    order = order[:reach]
    return i[order], j[order], tie_start[:reach], screened


def _fill(out: Array | None, source: Source, i: Integers, j: Integers) -> int:
    """Write the statistics of all pairs into a table, if there is one; how many outcomes are infinite.

    Only a balanced layout refuses infinite outcomes, and its caller then takes the other one.
    """
    if out is None and not source.layout.balanced:
        return 0
    infinite, length = 0, source.setting.design.chunk
    for start in range(0, len(i), length):
        part = slice(start, min(start + length, len(i)))
        features, found = _statistics(source, i, j, part, length)
        if out is not None:
            out[part] = np.asarray(features)[: part.stop - start]
        infinite += found
        if infinite and source.layout.balanced:
            break
    return infinite if source.layout.balanced else 0


def _statistics(source: Source, i: Integers, j: Integers, part: slice, length: int) -> tuple[Any, int]:
    """Statistics ``[length, size]`` of some pairs of the table, zero rows at the end; infinite outcomes."""
    design, n = source.setting.design, part.stop - part.start
    one, other = i[part], j[part]
    values = weights = None
    if not isinstance(design, PanelDesign):
        values, weights = padded(design.values[part], length), design.weights
        weights = None if weights is None else padded(weights[part], length)
    elif design.matches is not None:
        kept, own = design.matches.of(one, other, design.n_units)
        weights = np.zeros((length, design.n_years))
        weights[np.flatnonzero(kept)] = own
    rule = replace(kernel_rule(source.setting), layout=source.layout)
    with jax.enable_x64(True):
        arrays = _on_device(source)
        found = kernels.features(rule, arrays, padded(one, length), padded(other, length), n, values, weights)
        return found[0], int(found[1][0])


@lru_cache(maxsize=1)
def _on_device(source: Source) -> dict[str, Any]:
    given = city_arrays(source.setting)
    return kernels.to_device(given if source.observed is None else given | {"observed": source.observed})
