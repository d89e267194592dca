"""What every kind of inference needs of a pass: its pairs, their types, the coefficients in question."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from engine.arrays import Array, Integers
from engine.estimate.many_samples import Tested
from engine.infer.weighted import TypedPairs
from engine.pairs.features import PairFeatures, pair_features
from engine.pairs.tiles import Over, in_turn
from engine.pairs.treatment import Terms
from engine.runtime.execute import Machine
from engine.runtime.fingerprint import fingerprint
from engine.stages.estimation import Estimated
from engine.stages.memory import memory_bytes
from engine.stages.prepare_passes import Prepared

BLOCK = 256  # most replicates of one task


def memory_of(prepared: Prepared) -> float:
    """``runtime.memory`` in bytes."""
    return memory_bytes(prepared.shared.job.runtime.memory)


def over_pairs(machine: Machine) -> Over:
    """Passes over the pairs that only count, on the machine: no store keeps what is sooner counted again."""
    counting = replace(machine, store=None)
    return lambda leaf, setting, tasks, merge: counting.reduce(leaf, setting, tasks, merge, label="pairs")


def features_of(
    prepared: Prepared,
    *,
    every_screen: bool,
    observed: Array | None = None,
    spans: Any = None,
    over: Over = in_turn,
) -> PairFeatures:
    """Statistics of the pairs of a pass, kept where they take at most three quarters of ``runtime.memory``."""
    return pair_features(
        prepared.design,
        every_screen=every_screen,
        memory_bytes=memory_of(prepared) * 0.75,
        observed=observed,
        spans=spans,
        key=fingerprint(prepared.design, every_screen, observed, spans),
        over=over,
    )


def types_of(prepared: Prepared) -> list[tuple[int, int]]:
    """Types of pairs in the sample: two classes, the smaller first."""
    h, allowed = prepared.design.n_classes, prepared.design.allowed
    return [(g, k) for g in range(h) for k in range(g, h) if allowed[g, k]]


def terms_of(prepared: Prepared, result: Estimated) -> Terms:
    """Treatment terms of a cell."""
    return prepared.terms[prepared.shared.cells.index(result.cell)]


def tested_of(
    prepared: Prepared, result: Estimated, names: list[str] | None, *, observed: bool = False
) -> Tested:
    """The regression of a cell over [columns | its own terms], and the coefficients to test.

    With ``observed`` the treatment that happened is the last of the columns.
    """
    terms, controls = terms_of(prepared, result), prepared.shared.controls
    every = (*controls, *(["treatment that happened"] if observed else []), *terms.names)
    wanted = names or list(terms.names) or list(result.fit.names)
    return Tested(
        regressors=tuple(every.index(name) for name in result.fit.names),
        tested=tuple(result.fit.names.index(name) for name in wanted),
        paths=np.stack([terms.table[g, h] for g, h in types_of(prepared)]),
        observed=len(controls) if observed else None,
    )


def blocks(reps: int, size: int | None = None) -> list[Integers]:
    """Replicate numbers in blocks of ``size``, `BLOCK` by default."""
    step = size or BLOCK
    return [np.arange(start, min(start + step, reps), dtype=np.int32) for start in range(0, reps, step)]


def weighted_setting(prepared: Prepared, over: Over = in_turn) -> TypedPairs:
    """The pairs of a pass's sample with their types."""
    design = prepared.design
    kinds = np.full((design.n_classes, design.n_classes), -1, dtype=np.int32)
    types = types_of(prepared)
    for number, (g, h) in enumerate(types):
        kinds[g, h] = kinds[h, g] = number
    return TypedPairs(features_of(prepared, every_screen=False, over=over), design.classes, kinds, len(types))
