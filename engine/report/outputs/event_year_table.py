"""Event years in rows, kinds of standard error in columns: the table behind an event-study figure."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import pandas as pd

from engine.report.error_types import error_label, preferred
from engine.report.few_adopters import adopter_notes, has_few_adopters, with_tests_withheld
from engine.report.number_format import percent
from engine.report.outputs.event_study_plot import EVENT_STUDY, event_label, event_years_of
from engine.report.outputs.output import JobReport, Output, TableOutput
from engine.report.outputs.regression_table import Record
from engine.report.printed_table import Entry, PrintedTable, Row, interval_entry
from engine.report.table_entries import error_entry, stars_note, stars_of
from engine.report.table_style import TableStyle

_MOST = 8
"""Cells that have a table each; of more, the regression table and event_study.parquet have all numbers."""


def event_year_table(report: JobReport, cell: Hashable, title: str) -> PrintedTable:
    """Estimates of a cell's event years, their standard errors, and interval and band of the preferred kind."""
    words, sheet = report.words, _EventYears(report, cell)
    level, kind = percent(report.confidence_of(cell)), error_label(sheet.preferred, words)
    return PrintedTable(
        title=title,
        header=(
            words("Estimate"),
            *(error_label(code, words) for code in sheet.error_codes),
            words("{level} interval", level=level),
            words("{level} band", level=level),
        ),
        rows=tuple(sheet.rows()),
        notes=(
            words(
                "Standard errors in parentheses; intervals, and the band of all years together, under {kind}.",
                kind=kind,
            ),
            *sheet.notes(),
        ),
        stub=words("Years relative to adoption"),
        words=words,
    )


@dataclass(frozen=True)
class _EventYears:
    """The event years of a cell by year and standard-error type, in the style of the job's tables."""

    report: JobReport
    cell: Hashable

    @cached_property
    def records(self) -> dict[tuple[int, str], Record]:
        frame = self.report.frames[EVENT_STUDY.name]
        rows = frame[frame["cell"] == self.cell].to_dict("records")
        return {(int(row["event_time"]), row["errors"]): row for row in rows}

    @cached_property
    def estimates(self) -> pd.DataFrame:
        frame = self.report.frames["estimates"]
        return with_tests_withheld(frame[frame["cell"] == self.cell])

    @cached_property
    def few_adopters(self) -> frozenset[str]:
        """Terms of too few adopting cities for any interval."""
        return frozenset(self.estimates.loc[has_few_adopters(self.estimates), "term"])

    @cached_property
    def error_codes(self) -> list[str]:
        """The cell's types, those that the job's tables print; all, where these are none of them."""
        present = list(dict.fromkeys(code for _, code in self.records))
        shown = self.report.table_style.error_codes(self.report.frames["estimates"]["errors"].unique())
        return [code for code in shown if code in present] or present

    @cached_property
    def preferred(self) -> str:
        return preferred(self.error_codes) or self.error_codes[0]

    @cached_property
    def starred(self) -> str | None:
        """Type of the stars, if any."""
        codes = self.report.frames["estimates"]["errors"].unique()
        return self.report.table_style.starred(self.preferred, codes)

    def notes(self) -> Iterator[str]:
        """Meaning of stars, of what is not there, and of the data."""
        words = self.report.words
        if self.starred and not has_few_adopters(self.estimates).all():
            yield stars_note(error_label(self.starred, words), words)
        if not all(isfinite(record["std_error"]) for record in self.records.values()):
            yield words("(n/a): this kind of error is undefined here.")
        if self.report.synthetic:
            yield words("Synthetic data: generated, not observed.")
        yield from adopter_notes(self.estimates, {self.cell: 1}, words)

    @cached_property
    def style(self) -> TableStyle:
        """Numbers of one size below each other: one notation, that of their standard errors."""
        names = ("estimate", "conf_low", "conf_high", "band_low", "band_high")
        records = [record for (_, code), record in self.records.items() if code in self.error_codes]
        return self.report.table_style.of_numbers(
            (float(record[name]) for record in records for name in names),
            (float(record["std_error"]) for record in records),
        )

    def rows(self) -> Iterator[Row]:
        style, meaning = self.style, event_years_of(self.report, self.cell)
        reference = [] if meaning.base is None else [meaning.base]
        years = sorted({*reference, *(year for year, _ in self.records)})
        for year in years:
            label = event_label(year, years, meaning)
            if year in reference:
                zero = (Entry("0", 0.0), *[Entry()] * (len(self.error_codes) + 2))
                yield Row("fit", self.report.words("{year} (reference)", year=label), zero)
            else:
                term = str(self.records[year, self.preferred]["term"])
                yield Row("fit", style.labels.get(term, label), tuple(self._entries(year)), term=term)

    def _entries(self, year: int) -> Iterator[Entry]:
        style, record = self.style, self.records[year, self.preferred]
        yield Entry(style.number(record["estimate"]) + self._stars(record["term"]), record["estimate"])
        for code in self.error_codes:
            yield error_entry(self.records[year, code]["std_error"], style)
        for name in ("conf", "band"):
            low, high = float(record[f"{name}_low"]), float(record[f"{name}_high"])
            has_interval = isfinite(low + high) and record["term"] not in self.few_adopters
            text = f"[{style.number(low)}, {style.number(high)}]" if has_interval else ""
            yield interval_entry(low, high, text)

    def _stars(self, term: str) -> str:
        rows = self.estimates[(self.estimates["term"] == term) & (self.estimates["errors"] == self.starred)]
        return stars_of(rows["p_value"].iloc[0]) if len(rows) else ""


def _tables(report: JobReport) -> Iterator[TableOutput]:
    cells = [cell for cell in report.manifest["cells"] if EVENT_STUDY.name in cell]
    if len(cells) > _MOST:
        return
    for cell in cells:
        of_job, name = report.title, "table_event_years"
        if len(cells) > 1:
            of_job, name = report.cell_title(cell["cell"]), f"{name}_{cell['number']}"
        title = report.words("{title}: event years", title=of_job)
        yield TableOutput(name, event_year_table(report, cell["cell"], title))


EVENT_YEAR_TABLE = Output(reads=("estimates", EVENT_STUDY.name), tables=_tables)
