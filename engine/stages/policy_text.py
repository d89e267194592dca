"""From a folder of policy documents to files with counts, passages and indices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from engine.cities import builtin
from engine.errors import InputError
from engine.notes import Note
from engine.runtime.files import output_folder, write_text, write_with
from engine.stages.csv_files import csv_text
from engine.tables.headers import FileLayout
from engine.tables.read import read_file, refuse_broken
from engine.text.count import count_instruments
from engine.text.dictionary import DEFAULT, Dictionary, read_dictionary
from engine.text.index import Pool, merge_into, panel_keys, policy_indices
from engine.text.read_documents import DEMO, read_documents

DEMO_NAME = "builtin:demo_documents"


@dataclass(frozen=True)
class PolicyTextFiles:
    """Files written; ``notes`` are for readers of the indices, ``line`` sums up the work."""

    files: tuple[Path, ...]
    notes: tuple[Note, ...]
    line: str


def write_policy_text(
    folder: str,
    *,
    out: Path,
    dictionary: Path | None = None,
    panel: str | None = None,
    pool: str = "pilots",
) -> PolicyTextFiles:
    """Write ``counts.csv``, ``passages.csv``, ``weights.csv``, ``indices.csv`` and ``instruments.csv``.

    Text that a spreadsheet would take for a formula gets an apostrophe before it (`csv_text`).

    Parameters
    ----------
    folder : str
        Folder of documents with its ``documents.csv``, or ``builtin:demo_documents``.
    out : Path
        Folder for the results. ``instruments.csv`` there is the dictionary as it was used, to be edited.
    dictionary : Path, optional
        Table of instruments; default the one that comes with the engine.
    panel : str, optional
        Table with the columns city and year, or ``builtin:NAME``: its cities and years are those of the
        indices, and it is written with their columns as ``panel.parquet``. Default the cities of the
        documents, from the year of the first to that of the last.
    pool : {'pilots', 'all'}
        City-years that the weights are computed over (`engine.text.index.policy_indices`).

    Raises
    ------
    InputError
        For anything wrong with documents, dictionary or panel, before anything is written.
    """
    pooled = _pool(pool)
    output_folder(out)
    instruments = read_dictionary(dictionary or DEFAULT)
    frame = _panel(panel) if panel else None
    documents, unread = read_documents(DEMO if folder == DEMO_NAME else Path(folder))
    if frame is None:
        cities, years = {document.city for document in documents}, {document.year for document in documents}
    else:
        keys = panel_keys(frame, source=str(panel))
        cities, years = set(keys["city"]), set(keys["year"].tolist())
    counted = count_instruments(documents, instruments)
    policy = policy_indices(counted.counts, cities=sorted(cities), years=sorted(years), pool=pooled)
    tables = {
        "counts": counted.counts,
        "passages": counted.passages,
        "weights": policy.weights,
        "indices": policy.indices,
        "instruments": _table(instruments),
    }
    merged = merge_into(frame, policy.indices) if frame is not None else None
    # the mark tells Excel that the text is UTF-8
    files = [write_text(out / f"{name}.csv", f"\ufeff{csv_text(table)}") for name, table in tables.items()]
    if merged is not None:
        files.append(write_with(out / "panel.parquet", partial(merged.to_parquet, index=False)))
    line = (
        f"{len({document.file for document in documents})} documents, "
        f"{int(counted.counts['count'].sum())} passages of {len(instruments.instruments)} instruments, "
        f"{len(cities)} cities, {min(years)} to {max(years)}"
    )
    return PolicyTextFiles(tuple(files), (*unread, *policy.notes), line)


def _pool(pool: str) -> Pool:
    if pool == "pilots":
        return "pilots"
    if pool == "all":
        return "all"
    raise InputError(f"weights over '{pool}'", where="--weights-over", remedy="say pilots or all")


def _panel(source: str) -> pd.DataFrame:
    prefix, _, name = source.partition(":")
    if prefix == "builtin":
        return builtin.load(name)
    table = read_file(Path(source), FileLayout(names=frozenset({"city"})))
    refuse_broken(table, ["city", "year"], source=source)
    return table.frame


def _table(dictionary: Dictionary) -> pd.DataFrame:
    rows = [(entry.kind, entry.name, ";".join(entry.terms)) for entry in dictionary.instruments]
    return pd.DataFrame(rows, columns=["kind", "instrument", "terms"])
