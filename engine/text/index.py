"""From counts to a supply, an environment and a demand index of every city-year."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from engine.arrays import Array, Flags
from engine.cities.entropy import entropy_index
from engine.errors import InputError
from engine.notes import Note, shortened
from engine.tables import cell_values as cells
from engine.text.dictionary import KINDS

Pool = Literal["pilots", "all"]

PANEL_COLUMNS = tuple(f"policy_{kind}" for kind in KINDS)

_SHOWN = 5


@dataclass(frozen=True)
class PolicyIndices:
    """The three indices and how they came about.

    Attributes
    ----------
    indices : DataFrame
        city, year, supply, environment, demand: a row a city-year, sorted by both; indices in [0, 1], 0 where
        no document is in force.
    weights : DataFrame
        kind, instrument, count, weight: a row an instrument. ``count`` is the sum over documents; weights of
        a kind sum to one, or are all 0 where nothing of the kind differs between city-years.
    notes : tuple of Note
        What a reader of the indices must know.
    """

    indices: pd.DataFrame
    weights: pd.DataFrame
    notes: tuple[Note, ...]


def policy_indices(
    counts: pd.DataFrame, *, cities: Sequence[str], years: Sequence[int], pool: Pool = "pilots"
) -> PolicyIndices:
    """Entropy-weighted indices of cumulated counts.

    n_itk = sum of the counts of instrument k in documents of city i from year t or earlier: a document counts
    from its year on, and for good. Within a kind, weights and index are those of
    `engine.cities.entropy.entropy_index` over the pool (0 ln 0 = 0). An instrument that is the same all over
    the pool, as one that is never found, has no weight.

    Parameters
    ----------
    counts : DataFrame
        As `engine.text.count.Counts` has them.
    cities : sequence of str
        All cities of the sample; those without a document have index 0.
    years : sequence of int
        All years of the sample, consecutive.
    pool : {'pilots', 'all'}
        Over which city-years weights are computed and counts are scaled from 0 (the least) to 1 (the most):
        those with a document in force, where the others are set to 0; or all. The two give different weights:
        with ``all``, the many zeros of cities without documents make rare instruments weigh more.

    Raises
    ------
    InputError
        For a city of a document that is not among ``cities``, and for fewer than two city-years in the pool.
    """
    ordered, span = sorted(cities), range(min(years), max(years) + 1)
    _refuse_strangers(counts["city"], ordered, "the documents", "the cities of the sample")
    instruments = counts[["kind", "instrument"]].drop_duplicates().reset_index(drop=True)
    stock, in_force = _stock(counts, instruments, ordered, span)
    pooled = _pooled_city_years(in_force, pool)
    columns: dict[str, Array] = {}
    weights = np.zeros(len(instruments))
    notes = _late(counts, span[-1])
    for kind in KINDS:
        members = np.flatnonzero(instruments["kind"] == kind)
        varies = members[np.ptp(stock[pooled][:, members], axis=0) > 0]
        columns[kind] = np.zeros(in_force.shape)
        if len(varies):
            names = list(instruments["instrument"][varies])
            values = np.where(pooled[:, :, None], stock[:, :, varies], np.nan)
            entropy = entropy_index(values, negative=[False] * len(varies), names=names)
            weights[varies] = entropy.weights
            columns[kind] = np.where(pooled, entropy.index, 0.0)
        else:
            notes.append(Note.of("instruments_equal", kind=kind, count=int(pooled.sum())))
        flat = [str(instruments["instrument"][k]) for k in members if k not in varies]
        if flat and len(varies):
            count = int(pooled.sum())
            notes.append(Note.of("instruments_without_weight", kind=kind, instruments=flat, count=count))
    total = counts.groupby(["kind", "instrument"], sort=False)["count"].sum().to_numpy()
    return PolicyIndices(
        indices=pd.DataFrame(
            {
                "city": np.repeat(np.array(ordered, dtype=object), len(span)),
                "year": np.tile(span, len(ordered)),
            }
            | {kind: values.ravel() for kind, values in columns.items()}
        ),
        weights=instruments.assign(count=total, weight=weights),
        notes=tuple(notes),
    )


def merge_into(
    panel: pd.DataFrame, indices: pd.DataFrame, *, city: str = "city", year: str = "year"
) -> pd.DataFrame:
    """A copy of a panel with the columns policy_supply, policy_environment and policy_demand.

    City-years without indices, of cities without documents or from before the first of them, get 0.

    Parameters
    ----------
    panel : DataFrame
        One row a city-year, in any order.
    indices : DataFrame
        As `PolicyIndices` has them.
    city, year : str
        Columns of the panel.

    Raises
    ------
    InputError
        Where the panel lacks a column or already has one of the new ones, does not have a city of the
        indices, or goes on after their last year, when documents still count.
    """
    keys = panel_keys(panel, source="panel", city=city, year=year)
    duplicates = [name for name in PANEL_COLUMNS if name in panel]
    if duplicates:
        raise InputError(
            f"the panel already has a column '{duplicates[0]}'", where="panel", remedy="rename or drop it"
        )
    _refuse_strangers(indices["city"], keys["city"], "the indices", "the panel")
    last = int(indices["year"].max())
    if keys["year"].max() > last:
        raise InputError(
            f"the panel goes on to {keys['year'].max()}, the indices end in {last}",
            where="panel",
            remedy="compute the indices for the years of the panel: policy-text --panel",
        )
    row_indices = keys.merge(indices, how="left", on=["city", "year"], validate="many_to_one")[
        list(KINDS)
    ].fillna(0.0)
    return panel.assign(
        **{name: row_indices[kind].to_numpy() for name, kind in zip(PANEL_COLUMNS, KINDS, strict=True)}
    )


def panel_keys(panel: pd.DataFrame, *, source: str, city: str = "city", year: str = "year") -> pd.DataFrame:
    """city (text) and year (whole number) of every row; raises InputError where one is missing or wrong."""
    for name in (city, year):
        if name not in panel:
            raise InputError(
                f"there is no column '{name}'", where=source, remedy=f"rename the column with the {name}"
            )
    codes, names = cells.names(panel[city])
    if (codes < 0).any():
        row = panel.index[int(np.argmax(codes < 0))] + cells.FIRST_ROW
        raise InputError(f"'{city}' is empty", where=f"{source}: row {row}", remedy="fill the cell")
    years = cells.years(panel[year], source=source)
    return pd.DataFrame({"city": np.array(names, dtype=object)[codes], "year": years})


def _pooled_city_years(in_force: Flags, pool: Pool) -> Flags:
    """Mask ``[n_cities, n_years]`` of the city-years over which weights are computed."""
    pooled = in_force if pool == "pilots" else np.ones_like(in_force)
    if pooled.sum() < 2:
        raise InputError(
            f"{pooled.sum()} of {pooled.size} city-years have a document in force: weights need two",
            where="policy-text",
            remedy="add documents, or compute weights over all city-years of a panel",
        )
    return pooled


def _stock(
    counts: pd.DataFrame, instruments: pd.DataFrame, cities: Sequence[str], years: range
) -> tuple[Array, Flags]:
    """Cumulated counts ``[n_cities, n_years, n_instruments]``, and where any document is in force."""
    unit = pd.Index(cities).get_indexer(pd.Index(counts["city"]))
    start = np.maximum(counts["year"].to_numpy() - years[0], 0)
    column = pd.MultiIndex.from_frame(instruments).get_indexer(
        pd.MultiIndex.from_frame(counts[["kind", "instrument"]])
    )
    shape = len(cities), len(years), len(instruments)
    flow, documents = np.zeros(shape), np.zeros(shape[:2])
    sample = start < len(years)
    np.add.at(flow, (unit[sample], start[sample], column[sample]), counts["count"].to_numpy()[sample])
    documents[unit[sample], start[sample]] = 1
    return flow.cumsum(axis=1), documents.cumsum(axis=1) > 0


def _late(counts: pd.DataFrame, last: int) -> list[Note]:
    files = sorted(set(counts["file"][counts["year"] > last]))
    shown = shortened(files, _SHOWN)
    return [Note.of("documents_too_late", count=len(files), last=int(last), files=shown)] if files else []


def _refuse_strangers(cities: pd.Series, sample_cities: Iterable[str], source: str, sample: str) -> None:
    strangers = sorted(set(cities) - set(sample_cities))
    if strangers:
        more = f", ... ({len(strangers)} in all)" if len(strangers) > _SHOWN else ""
        raise InputError(
            f"{source} have cities that are not in {sample}: {', '.join(strangers[:_SHOWN])}{more}",
            where="policy-text",
            remedy="write city names alike in both, or take them out",
        )
