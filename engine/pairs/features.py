"""The statistics of every pair that a draw may need, kept in memory and sorted by gravity force.

Draws relabel or reweight cities; the statistics of a pair never change. With the pairs sorted by force, the
gravity screen of any draw is a position in the table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from engine.errors import InputError
from engine.pairs import kernels
from engine.pairs.design import Design, PanelDesign, padded
from engine.pairs.moments import Layout
from engine.pairs.passes import MomentPass, city_arrays, kernel_rule

Array = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True)
class PairFeatures:
    """Statistics by pair.

    Attributes
    ----------
    layout : Layout
    i, j : int32 ``[n_pairs]``
        Unit positions; by force, strongest first, where there is a gravity screen.
    features : float64 ``[n_pairs, size]``
        Zero for pairs without two observed years.
    tie_start : int32 ``[n_pairs]``
        First pair of the same force (the pair itself where forces differ).
    n_units : int
    n_screened : int or None
        Pairs above the screen of the sample itself, over all pairs, eligible or not; None without a screen.
    """

    layout: Layout
    i: Integers
    j: Integers
    features: Array
    tie_start: Integers
    n_units: int
    n_screened: int | None

    @property
    def ranks(self) -> Integers:
        """``[n_units, n_units]`` position of each pair; n_pairs where it is not in the table."""
        out = np.full((self.n_units, self.n_units), len(self.i), dtype=np.int32)
        out[self.i, self.j] = out[self.j, self.i] = np.arange(len(self.i), dtype=np.int32)
        return out


def pair_features(
    design: Design, *, every_screen: bool, memory_bytes: float, observed: Array | None = None
) -> PairFeatures:
    """Statistics of all pairs of a design, whatever their treatment.

    Parameters
    ----------
    design : PanelDesign or TableDesign
    every_screen : bool
        Keep the pairs that the median screen of any reassignment may let through, not only those that the
        sample's own threshold does.
    memory_bytes : float
        What the statistics may take.
    observed : float64 ``[n_classes, n_classes, T]``, optional
        Treatment path that happened, by the units' own classes: one more column before the outcome.

    Raises
    ------
    InputError
        Where they would take more.
    """
    i, j, tie_start, n_screened = _pairs(design, every_screen=every_screen)
    for balanced in [True, False] if design.complete else [False]:
        setting = MomentPass(design, balanced)
        layout = Layout(design.n_years, design.n_columns + (observed is not None), balanced)
        needed = 8.0 * len(i) * layout.size
        if needed > memory_bytes:
            raise InputError(
                f"the statistics of {len(i):,} pairs take {needed / 1e9:.1f} GB, more than runtime.memory allows",
                where="runtime.memory",
                remedy=f"allow at least {needed / 1e9 * 1.5:.0f}GB, or keep fewer pairs",
            )
        features, infinite = _computed(setting, layout, observed, i, j)
        if not infinite:
            break
    return PairFeatures(layout, i, j, features, tie_start, design.n_units, n_screened)


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


def _computed(
    setting: MomentPass, layout: Layout, observed: Array | None, i: Integers, j: Integers
) -> tuple[Array, int]:
    design, rule = setting.design, replace(kernel_rule(setting), layout=layout)
    out, infinite, length = np.empty((len(i), layout.size)), 0, design.chunk
    panel = isinstance(design, PanelDesign)
    with jax.enable_x64(True):
        given = city_arrays(setting) | ({} if observed is None else {"observed": observed})
        arrays = kernels.to_device(given)
        for start in range(0, len(i), length):
            part = slice(start, min(start + length, len(i)))
            n = part.stop - start
            values = None if panel else padded(design.values[part], length)  # type: ignore[union-attr]
            result = kernels.features(
                rule, arrays, padded(i[part], length), padded(j[part], length), n, values
            )
            out[part] = np.asarray(result[0])[:n]
            infinite += int(result[1][0])
    return out, infinite
