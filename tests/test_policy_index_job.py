"""Table 5 from the documents on: indices by loops over the counts, joined, summed over a pair, against pyfixest."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import product
from math import fsum, log
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from designs import CONTROLS, JOBS, cities, design
from peers import against_brute_force, against_pyfixest, cell

import engine
from engine.stages.policy_text import DEMO_NAME, write_policy_text

TABLE_5 = JOBS / "paper" / "table5.yaml"
KINDS = ["supply", "environment", "demand"]
CITIES = 120  # every city that has a document
HAND = 1e-12  # absolute, of an index in [0, 1]: a few logarithms and sums over 2,540 city-years


def by_loops(counts: pd.DataFrame, places: list[tuple[str, int]]) -> dict[str, dict[tuple[str, int], float]]:
    """Index of every kind: counts in force, scaled to [0, 1], by entropy weights within the kind."""
    number: dict[tuple[str, str], dict[tuple[str, int], float]] = defaultdict(dict)
    for what, rows in counts.groupby(["kind", "instrument"]):
        issued = list(rows[["city", "year", "count"]].itertuples(index=False, name=None))
        for city, year in places:
            number[what][city, year] = sum(n for owner, first, n in issued if owner == city and first <= year)
    index = {kind: dict.fromkeys(places, 0.0) for kind in KINDS}
    theil, scaled = {}, {}
    for what, values in number.items():
        low, high = min(values.values()), max(values.values())
        if high > low:
            scaled[what] = {place: (value - low) / (high - low) for place, value in values.items()}
            total = fsum(scaled[what].values())
            shares = [value / total for value in scaled[what].values() if value > 0]
            theil[what] = 1 + fsum(share * log(share) for share in shares) / log(len(places))
    for what, values in scaled.items():
        weight = theil[what] / fsum(one for other, one in theil.items() if other[0] == what[0])
        for place, value in values.items():
            index[what[0]][place] += weight * value
    return index


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    write_policy_text(DEMO_NAME, out=folder, panel="builtin:china_demo", pool="all")
    return folder


@pytest.fixture(scope="module")
def indices(written: Path) -> dict[str, dict[tuple[str, int], float]]:
    places = list(product(sorted(cities()["city"].unique()), range(2010, 2020)))
    return by_loops(pd.read_csv(written / "counts.csv"), places)


@cache
def shipped() -> engine.Results:
    return engine.run(TABLE_5, overrides=[f"panel.options.cities={CITIES}"])


@cache
def own(folder: Path) -> engine.Results:
    """As a user does: the indices that the command wrote, under their own names."""
    columns = ", ".join(f"policy_{kind}: {kind}" for kind in KINDS)
    return engine.run(
        TABLE_5,
        overrides=[
            f"panel.options.cities={CITIES}",
            f"panel.join=[{{source: {folder / 'indices.csv'}, missing: 0}}]",
            f"panel.columns={{{columns}}}",
        ],
    )


def test_indices(written: Path, indices: dict[str, dict[tuple[str, int], float]]) -> None:
    table = pd.read_csv(written / "indices.csv")
    assert len(table) == 2_540
    for kind in KINDS:
        expected = [indices[kind][place] for place in zip(table["city"], table["year"], strict=True)]
        np.testing.assert_allclose(table[kind], expected, rtol=0, atol=HAND)
        assert max(expected) > 0.1


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("source", ["shipped", "written"])
def test_table_5(
    source: str, number: int, written: Path, indices: dict[str, dict[tuple[str, int], float]]
) -> None:
    """The table that ships has nine digits of the indices; it lacks the city-years without an instrument."""
    results, digits = (shipped(), 9) if source == "shipped" else (own(written), 17)
    kind, long = KINDS[number], design(CITIES).long
    value = {place: round(one, digits) for place, one in indices[kind].items()}
    pair = [
        value[i, year] + value[j, year]
        for i, j, year in long[["city_i", "city_j", "year"]].itertuples(index=False)
    ]
    long = long.assign(**{kind: pair})
    against_pyfixest(cell(results, number), long, [kind, *CONTROLS])
    against_brute_force(cell(results, number), long, [kind, *CONTROLS], kinds=["dyadic"])
