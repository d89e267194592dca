"""An output of a job, and the frames, manifest and language that it is made from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING, Any

import pandas as pd

from engine.report.figure_choices import FigureChoices
from engine.report.language.wording import ENGLISH, Words, columns_phrase
from engine.report.printed_table import PrintedTable
from engine.report.table_style import EVERYTHING, TableStyle
from engine.report.unit_names import units_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Manifest = Mapping[str, Any]
"""As in ``manifest.json``."""


@dataclass(frozen=True)
class JobReport:
    """A finished job to be reported: its frames, its manifest, and the language.

    Attributes
    ----------
    frames : mapping of str to DataFrame
        By name, as in ``<name>.parquet``.
    manifest : mapping
    words : Words
        Of tables, figures, captions and sentences.
    """

    frames: Mapping[str, pd.DataFrame]
    manifest: Manifest
    words: Words = ENGLISH

    @property
    def title(self) -> str:
        return str(self.manifest["title"])

    @property
    def treatment(self) -> str | None:
        """Name of the term that is told first."""
        return self.manifest["treatment"]  # type: ignore[no-any-return]

    @property
    def confidence(self) -> float:
        """Level of all intervals; not a number where cells differ in it."""
        levels = {self.confidence_of(cell["cell"]) for cell in self.manifest["cells"]}
        return levels.pop() if len(levels) == 1 else nan

    def confidence_of(self, cell: Hashable) -> float:
        """Level of the intervals of a cell."""
        levels = {entry["cell"]: entry.get("confidence") for entry in self.manifest["cells"]}
        return float(levels.get(cell) or self.manifest["confidence"])

    @property
    def table_style(self) -> TableStyle:
        """Choices of the regression table; of a folder of an earlier version the defaults."""
        style = EVERYTHING.changed(self.manifest.get("table", {}))
        slopes = {cell["cell"]: cell["by_year"] for cell in self.manifest["cells"] if "by_year" in cell}
        return replace(style, slopes=slopes, units=units_label(self.manifest.get("parameters", {})))

    @property
    def figure_choices(self) -> FigureChoices:
        """Choices of all figures."""
        choices = self.manifest.get("figure", {})
        known = {entry.name for entry in fields(FigureChoices)}
        return FigureChoices(**{name: value for name, value in choices.items() if name in known})

    @property
    def synthetic(self) -> bool:
        """Whether any of the data are generated."""
        sources = (self.manifest["data"], *self.manifest["more_data"])
        return any(source["synthetic"] for source in sources)

    @property
    def subtitle(self) -> str:
        """Of every figure."""
        return self.words("Synthetic data") if self.synthetic else ""

    @cached_property
    def columns(self) -> dict[Hashable, int]:
        """Column of the coefficient table, by cell."""
        return {cell["cell"]: cell["number"] for cell in self.manifest["cells"]}

    def of_cell(self, cell: Hashable) -> JobReport:
        """The report of one cell, as if the job had no other."""
        frames = {
            name: frame[frame["cell"] == cell] if "cell" in frame else frame
            for name, frame in self.frames.items()
        }
        cells = [entry for entry in self.manifest["cells"] if entry["cell"] == cell]
        frames = {name: frame for name, frame in frames.items() if len(frame)}
        return replace(self, frames=frames, manifest={**self.manifest, "cells": cells, "choices": {}})

    def cells_of(self, name: str) -> list[tuple[Hashable, str]]:
        """Cells that a frame has rows of, and what their files end with: nothing where it is one, ``_2`` and so on."""
        cells = list(dict.fromkeys(self.frames[name]["cell"]))
        return [(cell, "" if len(cells) == 1 else f"_{self.columns[cell]}") for cell in cells]

    def rows_of(self, name: str, cell: Hashable) -> pd.DataFrame:
        """The rows of a cell in a frame."""
        frame = self.frames[name]
        return frame[frame["cell"] == cell]

    def column_phrase(self, cell: Hashable) -> str:
        """``column (2)``; empty for a job of one column."""
        return columns_phrase([self.columns[cell]], self.words) if len(self.columns) > 1 else ""

    def cell_title(self, cell: Hashable) -> str:
        """The job's title, with the cell's label where there are several cells."""
        labels = {entry["cell"]: entry["label"] for entry in self.manifest["cells"]}
        return f"{self.title}: {labels[cell]}" if len(labels) > 1 else self.title

    @cached_property
    def main_term(self) -> str | None:
        """Term to compare over cells: the treatment, or the last of most cells; None for a single cell."""
        cells = [cell["cell"] for cell in self.manifest["cells"] if "event_study" not in cell]
        if len(cells) < 2:
            return None
        estimates = self.frames["estimates"]
        rows = estimates[estimates["cell"].isin(cells)]
        if self.treatment in set(rows["term"]):
            return self.treatment
        return str(rows.groupby("cell", sort=False)["term"].last().mode().iloc[0])


def term_in_doubt(terms: pd.Series) -> str:
    """The first term, but of an event study the year of adoption: the years before it have no effect to doubt."""
    names = list(dict.fromkeys(terms))
    return next((name for name in names if name.endswith("[+0]")), names[0])


def in_doubt(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Rows of the term in doubt among those of one cell, and the term."""
    term = term_in_doubt(rows["term"])
    return rows[rows["term"] == term], term


def last_cell_in_doubt(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """`in_doubt` of the last cell of a frame."""
    return in_doubt(frame[frame["cell"] == frame["cell"].iloc[-1]])


@dataclass(frozen=True)
class TableOutput:
    """A table and the name of its files.

    Attributes
    ----------
    name : str
        ``table``, or ``table_`` and more.
    table : PrintedTable
    csv : callable, optional
        Content of ``<name>.csv`` where the printed table is only a summary; default its rows, unrounded.
    """

    name: str
    table: PrintedTable
    csv: Callable[[], str] | None = None


@dataclass(frozen=True)
class FigureOutput:
    """A figure, the name of its files, its caption, and its content in words."""

    name: str
    title: str
    text: str
    figure: Figure


@dataclass(frozen=True)
class StoredFrame:
    """A frame that a job leaves as ``<name>.parquet``, and the columns that reports read.

    Attributes
    ----------
    name : str
    text, numbers : tuple of str
        Columns that hold text, and numbers.
    """

    name: str
    text: tuple[str, ...]
    numbers: tuple[str, ...]


def _no_tables(report: JobReport) -> Iterable[TableOutput]:
    return ()


def _no_figures(report: JobReport) -> Iterable[FigureOutput]:
    return ()


def _no_sentences(report: JobReport) -> Iterable[str]:
    return ()


def _never(report: JobReport) -> bool:
    return False


@dataclass(frozen=True)
class Output:
    """One output of jobs.

    Attributes
    ----------
    reads : tuple of str
        Frames without which it is not made.
    stores : StoredFrame, optional
        The frame that it adds to a job's folder.
    tables, figures, sentences : callable
        Of a report; figures come one by one, so that those made before a failure are kept.
    headlines : callable
        The sentences that a reader sees first.
    stands_alone : callable
        Whether its tables and sentences replace those of all other outputs in a report.
    """

    reads: tuple[str, ...]
    stores: StoredFrame | None = None
    tables: Callable[[JobReport], Iterable[TableOutput]] = _no_tables
    figures: Callable[[JobReport], Iterable[FigureOutput]] = _no_figures
    sentences: Callable[[JobReport], Iterable[str]] = _no_sentences
    headlines: Callable[[JobReport], Iterable[str]] = _no_sentences
    stands_alone: Callable[[JobReport], bool] = _never

    def is_of(self, report: JobReport) -> bool:
        """Whether the job has what the output is made from."""
        return all(name in report.frames for name in self.reads)
