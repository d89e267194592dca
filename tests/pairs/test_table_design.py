"""A user's own dyadic table as dense arrays, and how both designs cut their pairs into tasks and chunks."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import YEARS, pair_table, seeds

from engine.errors import InputError
from engine.pairs import design as module
from engine.pairs.gravity import PairSample
from engine.pairs.panel_design import PanelDesign, panel_edge
from engine.pairs.table import PairColumns, pair_columns
from engine.pairs.table_design import TableDesign
from engine.pairs.table_rows import TableRequest


def columns(frame: pd.DataFrame, *, directed: bool = False, **more: object) -> PairColumns:
    options = {"regressors": ("x", "w"), "outcome": "y", "directed": directed, **more}
    request = TableRequest("one", "other", "year", **options)  # type: ignore[arg-type]
    return pair_columns(frame, request, source="pairs.csv")[0]


def table_design(n_pairs: int, *, directed: bool = False) -> TableDesign:
    """Pairs numbered by their one value, over three years."""
    i = np.arange(n_pairs, dtype=np.int32)
    values = np.broadcast_to(np.arange(float(n_pairs))[:, None, None], (n_pairs, 3, 2))
    return TableDesign(i, i + 1, values, n_pairs + 1, directed)


# -- the table as arrays -----------------------------------------------------------------------------------


@pytest.mark.parametrize("directed", [False, True])
@given(seed=seeds)
def test_every_row_is_where_its_names_say(directed: bool, seed: int) -> None:
    frame = pair_table(seed, directed=directed).sample(frac=1, random_state=seed)
    found = columns(frame, directed=directed)
    place = {
        (found.units[i], found.units[j]): row for row, (i, j) in enumerate(zip(found.i, found.j, strict=True))
    }
    expected = np.full_like(found.values, np.nan)
    for one, other, year, y, x, w in frame.itertuples(index=False):
        expected[place[one, other], found.years.index(year)] = x, w, y
    np.testing.assert_array_equal(found.values, expected)
    assert found.units == tuple(sorted({*frame["one"], *frame["other"]}))
    assert found.years == tuple(sorted(set(frame["year"])))


@given(seeds)
def test_the_two_directions_of_a_dyad_are_neighbours(seed: int) -> None:
    frame = pair_table(seed, missing=0.9, directed=True)  # many dyads lack a direction
    found = columns(frame, directed=True)
    np.testing.assert_array_equal(found.i[0::2], found.j[1::2])
    np.testing.assert_array_equal(found.j[0::2], found.i[1::2])
    assert (found.i[0::2] < found.j[0::2]).all()
    assert len(set(zip(found.i[0::2].tolist(), found.j[0::2].tolist(), strict=True))) == len(found.i) // 2


@given(seeds)
def test_an_undirected_pair_may_stand_in_either_order(seed: int) -> None:
    frame = pair_table(seed)
    turned = frame.copy()
    swap = pd.factorize(frame["one"] + frame["other"])[0] % 2 == 0
    turned.loc[swap, ["one", "other"]] = frame.loc[swap, ["other", "one"]].to_numpy()
    found, again = columns(frame), columns(turned)
    for name in ("i", "j", "values"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert (found.i < found.j).all()


def test_years_need_not_be_consecutive() -> None:
    frame = pair_table(1)
    found = columns(frame[frame["year"].isin([2010, 2013, 2017])])
    assert found.years == (2010, 2013, 2017)
    np.testing.assert_array_equal(found.values, columns(frame).values[:, [0, 3, 7]])


def test_sample_years_are_cut_out() -> None:
    frame = pair_table(1)
    found = columns(frame, years=(2012, 2015))
    assert found.years == (2012, 2013, 2014, 2015)
    np.testing.assert_array_equal(found.values, columns(frame).values[:, 2:6])
    with pytest.raises(
        InputError, match=r"years \[2009, 2015\] reach beyond the table, which has 2010 to 2017"
    ):
        columns(frame, years=(2009, 2015))


def test_a_table_that_holds_both_directions_is_refused_unless_directed() -> None:
    frame = pair_table(1, directed=True)
    with pytest.raises(InputError, match=r"directed is false, but 20\d\d has both \(u") as caught:
        columns(frame)
    assert caught.value.remedy is not None
    assert "directed: true" in caught.value.remedy


def test_one_pair_may_be_written_in_another_order_every_year() -> None:
    frame = pair_table(1)
    late = frame["year"] >= 2013
    turned = frame.assign(
        one=frame["one"].where(~late, frame["other"]), other=frame["other"].where(~late, frame["one"])
    )
    plain, again = columns(frame), columns(turned)
    assert again.units == plain.units
    for name in ("i", "j", "values"):
        np.testing.assert_array_equal(getattr(again, name), getattr(plain, name))


@pytest.mark.parametrize("directed", [False, True])
def test_a_row_given_twice_is_refused(directed: bool) -> None:
    frame = pair_table(1)
    row = frame.iloc[5]
    with pytest.raises(
        InputError,
        match=rf"\({row['one']}, {row['other']}, {row['year']}\) is given twice; 1 row repeats an earlier one",
    ):
        columns(pd.concat([frame, frame.iloc[[5]]], ignore_index=True), directed=directed)


def test_a_unit_with_itself_is_refused() -> None:
    frame = pair_table(1)
    frame.loc[7, "other"] = frame.loc[7, "one"]
    with pytest.raises(InputError, match=r"row 9: a unit is paired with itself"):
        columns(frame)


# -- tasks and chunks --------------------------------------------------------------------------------------


@given(
    n_dyads=st.integers(1, 700),
    directed=st.booleans(),
    chunk=st.sampled_from([2, 8, 64, 4096]),
)
def test_tasks_and_chunks_hold_every_pair_of_a_table_once(n_dyads: int, directed: bool, chunk: int) -> None:
    n_pairs = 2 * n_dyads if directed else n_dyads
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        design = table_design(n_pairs, directed=directed)
        tasks = design.tasks()
        chunks = [one for task in tasks for one in design.chunks(task)]
        length = design.chunk
    assert len(tasks) <= 64
    np.testing.assert_array_equal(np.concatenate([one.i[: one.n] for one in chunks]), np.arange(n_pairs))
    for one in chunks:
        assert one.values is not None
        assert one.values.shape == (length, 3, 2)
        assert one.i.shape == one.j.shape == (length,)
        np.testing.assert_array_equal(one.values[: one.n, 0, 0], one.i[: one.n])
        np.testing.assert_array_equal(one.j[: one.n], one.i[: one.n] + 1)
        assert not one.values[one.n :].any()
        assert one.i[0] % 2 == 0 or not directed  # neither direction of a dyad is parted from the other
        assert one.n % 2 == 0 or not directed


@given(n=st.integers(2, 40), edge=st.integers(2, 45), chunk=st.sampled_from([2, 16, 4096]))
def test_tasks_and_chunks_hold_every_pair_of_a_panel_once(n: int, edge: int, chunk: int) -> None:
    sample = PairSample(np.zeros(n, np.int32), np.ones((1, 1), bool))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        design = PanelDesign(sample, np.zeros((n, 3)), np.ones(3, bool), 0.0, np.zeros((n, 3, 0)), None, edge)
        chunks = [one for task in design.tasks() for one in design.chunks(task)]
        length = design.chunk
    found = [
        pair for one in chunks for pair in zip(one.i[: one.n].tolist(), one.j[: one.n].tolist(), strict=True)
    ]
    assert sorted(found) == list(combinations(range(n), 2))
    for one in chunks:
        assert one.i.shape == one.j.shape == (length,)
        assert 0 < one.n <= length
        for side, (low, high) in ((one.i, one.rows), (one.j, one.cols)):
            assert low <= side[: one.n].min() <= side[: one.n].max() < high <= low + edge
        assert not one.i[one.n :].any()
        assert not one.j[one.n :].any()


@pytest.mark.parametrize(
    ("n_pairs", "length"), [(0, 2), (1, 2), (2, 2), (3, 4), (128, 128), (129, 256), (5000, 4096)]
)
def test_chunk_length(n_pairs: int, length: int) -> None:
    assert table_design(n_pairs).chunk == length


def test_a_table_is_complete_where_nothing_is_missing() -> None:
    full = columns(pair_table(1, missing=0.0))
    assert TableDesign(full.i, full.j, full.values, len(full.units), False).complete
    holed = columns(pair_table(1))
    design = TableDesign(holed.i, holed.j, holed.values, len(holed.units), False)
    assert not design.complete
    assert (design.n_years, design.n_columns, design.n_classes, design.edge) == (len(YEARS), 3, 1, 9)
    np.testing.assert_array_equal(design.classes, np.zeros(9))


@pytest.mark.parametrize("what", ["series", "levels", "rows"])
def test_a_panel_is_complete_where_nothing_is_missing(what: str) -> None:
    sample = PairSample(np.zeros(4, np.int32), np.ones((1, 1), bool))
    parts = {"series": np.zeros((4, 3)), "levels": np.zeros((4, 3, 1)), "rows": None}
    fields = (np.ones(3, bool), 0.0)
    assert PanelDesign(sample, parts["series"], *fields, parts["levels"], parts["rows"], 4).complete
    if what == "rows":
        parts["rows"] = np.ones((1, 1, 3), bool)
    else:
        parts[what][2, 1] = np.nan
    assert not PanelDesign(sample, parts["series"], *fields, parts["levels"], parts["rows"], 4).complete


def test_edge_of_a_panel_from_its_statistics() -> None:
    """5 classes of 126 features: 5,040 bytes a unit; 2 x 256 of them are 2.6 MB, an eighth of 20.6 MB."""
    assert panel_edge(2850, 5, 126, memory_bytes=2e9) == 256
    assert panel_edge(2850, 5, 126, memory_bytes=8 * 512 * 5040) == 256
    assert panel_edge(2850, 5, 126, memory_bytes=math.nextafter(8 * 512 * 5040, 0)) == 128
