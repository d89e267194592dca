"""Shapes are checked where arrays enter a room, and the message names the array."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.arrays import check_shape
from engine.estimate.absorbed_fit import RowProblem
from engine.estimate.many_samples import batch_fit
from engine.estimate.normal import normal_equations
from engine.estimate.terms import Term
from engine.infer.permutation import Permutation
from engine.infer.permuted_sums import PermutedSample
from engine.infer.scores import multiplier_draws
from engine.infer.weighted import TypedPairs, weighted_sums
from engine.notes import Note
from engine.pairs.gravity import GravityModel, PairSample
from engine.pairs.moments import CityMoments, Layout
from engine.pairs.pair_rows import no_rows
from engine.pairs.pair_split import PairSplit
from engine.pairs.pair_statistics import PairStatistics, pair_statistics
from engine.pairs.panel_design import Matches, PanelDesign
from engine.pairs.table_design import TableDesign

N, T, H = 6, 4, 2
CLASSES = (np.arange(N) % H).astype(np.int32)
ALLOWED = np.ones((H, H), dtype=bool)
LAYOUT = Layout(T, 2, True)


def zeros(*shape: int) -> Any:
    return np.zeros(shape)


def design(**changed: Any) -> PanelDesign:
    sample = PairSample(CLASSES, ALLOWED)
    series = np.random.default_rng(0).normal(size=(N, T))
    levels = np.random.default_rng(1).normal(size=(N, T, 1))
    valid = PanelDesign(sample, series, np.ones(T, dtype=bool), 0.0, levels, None, 4)
    return replace(valid, **changed)


def table(**changed: Any) -> TableDesign:
    valid = TableDesign(CLASSES, CLASSES, zeros(N, T, 2), N, directed=False)
    return replace(valid, **changed)


def pairs() -> PairStatistics:
    return pair_statistics(design(), every_screen=False, memory_bytes=1e9)


def assignments(**changed: Any) -> PermutedSample:
    return replace(PermutedSample(pairs(), CLASSES, ALLOWED, recompute=False, n_ranked=0), **changed)


def equations(classes: Any, paths: Any) -> Any:
    moments = CityMoments(LAYOUT, zeros(N, H, LAYOUT.size), zeros(N, H, LAYOUT.size), 0, 0, 1.0)
    return normal_equations(moments, classes, terms=(Term("x"), Term("policy", 0)), table=paths)


def fits(sums: Any, paths: Any) -> Any:
    return batch_fit(LAYOUT, sums, paths, regressors=(0,), tested=(0,))


@pytest.mark.parametrize("shape", [(3, 4), (3, None), (None, None)])
def test_shapes_that_agree(shape: tuple[int | None, ...]) -> None:
    check_shape("levels", zeros(3, 4), shape)


@pytest.mark.parametrize("shape", [(4, 3), (3,), (3, 4, 1), (None, 3), ()])
def test_shapes_that_disagree(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(ValueError, match=r"^expected levels \[.*\], got \[3, 4\]$"):
        check_shape("levels", zeros(3, 4), shape)


def test_message_names_array_and_both_shapes() -> None:
    with pytest.raises(ValueError, match=r"^expected weights \[5, any\], got \[1\]$"):
        check_shape("weights", zeros(1), (5, None))


DOORS: dict[str, Any] = {
    "series": lambda: design(series=zeros(N - 1, T)),
    "window": lambda: design(window=np.ones(1, dtype=bool)),
    "levels": lambda: design(levels=zeros(N - 1, T, 1)),
    "levels ": lambda: design(kinds=("sum", "neg_abs_diff")),
    "kept_rows": lambda: design(kept_rows=np.ones((H, H, 1), dtype=bool)),
    "weight": lambda: design(weight=zeros(N, 1)),
    "value of the split": lambda: design(split=PairSplit(zeros(N - 1), (0.0, 1.0), 3, Note("matched"))),
    "weights of the matches": lambda: design(matches=Matches(np.arange(3), zeros(3, 1))),
    "j": lambda: table(j=CLASSES[:1]),
    "values": lambda: table(values=zeros(N - 1, T, 2)),
    "weights": lambda: table(weights=zeros(N, 1)),
    "allowed": lambda: PairSample(CLASSES, ALLOWED[:1]),
    "ln_mass": lambda: PairSample(CLASSES, ALLOWED, GravityModel(zeros(N - 1), zeros(N, 3))),
    "unit_vector": lambda: PairSample(CLASSES, ALLOWED, GravityModel(zeros(N), zeros(N, 1))),
    "origin": lambda: PairSample(CLASSES, ALLOWED, origin=CLASSES[:2]),
    "classes": lambda: equations(CLASSES[:1], zeros(H, H, T, 1)),
    "table": lambda: equations(CLASSES, zeros(H, H, T, 2)),
    "paths": lambda: fits(zeros(2, 3, LAYOUT.size), zeros(3, 1, 1)),
    "sums": lambda: fits(zeros(2, 1, LAYOUT.size), zeros(3, T, 1)),
    "columns": lambda: RowProblem(no_rows(2), (Term("x"),), zeros(0, 1), ()),
    "city": lambda: multiplier_draws(zeros(2), zeros(N, 1), zeros(3, N)),
    "multipliers": lambda: multiplier_draws(zeros(2), zeros(N, 2), zeros(3, 1)),
    "classes ": lambda: assignments(classes=CLASSES[:-1]),
    "allowed ": lambda: assignments(allowed=ALLOWED[:1]),
    "span": lambda: assignments(span=np.zeros((1, 1), dtype=np.int32)),
    "strata": lambda: Permutation(assignments(), CLASSES[:1], 0, ()),
    "classes  ": lambda: TypedPairs(pairs(), CLASSES[:1], np.zeros((H, H), dtype=np.int32), 1),
    "type_numbers": lambda: TypedPairs(pairs(), CLASSES, np.zeros((H, 1), dtype=np.int32), 1),
    "weights ": lambda: weighted_sums(
        TypedPairs(pairs(), CLASSES, np.zeros((H, H), dtype=np.int32), 1).sorted(), zeros(3, N - 1)
    ),
}
"""A call with one array of a wrong shape, by the name of the array (spaces tell equal names apart)."""


@pytest.mark.parametrize("name", DOORS)
def test_wrong_shape_is_refused_where_it_enters(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^expected {name.strip()} \[.*\], got \["):
        DOORS[name]()
