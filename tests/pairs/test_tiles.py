"""Tiles cover every pair once, in an order and in groups that only the grid decides."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.pairs.tiles import MAX_GROUPS, Tile, groups, tile_edge, triangle

sizes, lengths = st.integers(2, 90), st.integers(2, 100)


def pairs_of(tile: Tile) -> list[tuple[int, int]]:
    return [(i, j) for i, j in product(range(*tile.rows), range(*tile.cols)) if i < j]


@given(sizes, lengths)
def test_every_pair_lies_in_one_tile(n: int, edge: int) -> None:
    found = Counter(pair for tile in triangle(n, edge) for pair in pairs_of(tile))
    assert found == Counter(combinations(range(n), 2))


@given(sizes, lengths)
def test_tiles_know_their_pairs_and_keep_to_the_edge(n: int, edge: int) -> None:
    for tile in triangle(n, edge):
        assert tile.n_pairs == len(pairs_of(tile))
        assert max(tile.rows[1] - tile.rows[0], tile.cols[1] - tile.cols[0]) <= edge
        assert tile.rows == tile.cols or tile.rows[1] <= tile.cols[0]  # diagonal, or strictly above it


def test_tiles_come_row_band_by_row_band() -> None:
    assert triangle(5, 2) == (
        Tile((0, 2), (0, 2)),
        Tile((0, 2), (2, 4)),
        Tile((0, 2), (4, 5)),
        Tile((2, 4), (2, 4)),
        Tile((2, 4), (4, 5)),
        Tile((4, 5), (4, 5)),
    )


@given(sizes, lengths, st.integers(1, 70))
def test_groups_are_consecutive_and_few(n: int, edge: int, limit: int) -> None:
    tiles = triangle(n, edge)
    found = groups(tiles, limit)
    assert tuple(tile for group in found for tile in group) == tiles
    assert len(found) <= min(limit, len(tiles))
    assert all(found)


@given(sizes, lengths, st.integers(1, 70))
def test_no_group_exceeds_its_share_by_more_than_a_tile(n: int, edge: int, limit: int) -> None:
    tiles = triangle(n, edge)
    share, largest = sum(t.n_pairs for t in tiles) / limit, max(t.n_pairs for t in tiles)
    assert max(sum(t.n_pairs for t in group) for group in groups(tiles, limit)) <= share + largest


def test_the_number_of_tasks_is_bounded() -> None:
    tiles = triangle(2850, 32)
    assert len(tiles) == 90 * 91 // 2
    assert len(groups(tiles)) == MAX_GROUPS


@pytest.mark.parametrize(
    ("n_units", "memory", "per_unit", "edge"),
    [
        (254, 2e9, 8.0 * 5 * 82, 254),  # never longer than the grid
        (2850, 2e9, 8.0 * 5 * 106, 256),  # never longer than 256
        (
            2850,
            16e6,
            8.0 * 5 * 106,
            128,
        ),  # two sides of 128 units of 4,240 bytes are 1.1 MB, of 256 are 2.2 MB
        (2850, 1.0, 8.0, 16),  # halved down to 16 and no further
        (1, 2e9, 8.0, 2),
    ],
)
def test_edge_from_memory(n_units: int, memory: float, per_unit: float, edge: int) -> None:
    assert tile_edge(n_units, memory_bytes=memory, bytes_per_unit=per_unit) == edge
