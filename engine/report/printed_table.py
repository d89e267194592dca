"""A printed table as a value, and its forms as text, LaTeX, HTML and CSV: pure functions to strings."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, zip_longest
from math import ceil, isfinite
from typing import Literal, NamedTuple

from engine.characters import filled, flush_left, flush_right, places, spreadsheet_cell, visible
from engine.report.language.wording import ENGLISH, Words
from engine.report.markup import escape
from engine.report.number_format import number

Kind = Literal["coefficient", "error", "setting", "words", "count", "fit"]

# A rule is drawn where the block changes.
_BLOCK = {"coefficient": 0, "error": 0, "setting": 1, "words": 1, "count": 2, "fit": 2}
# Choices with longer lines take the whole column; shorter ones are printed under the digits.
_LONG = 9
_LINE = 13  # places of a line of a column
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": "$<$",
        ">": "$>$",
        "|": "$|$",
        "²": "$^2$",
        "χ": r"$\chi$",
        "∞": r"$\infty$",
        # After a line break LaTeX reads a bracket or an asterisk as an option of the break.
        "[": "{[}",
        "]": "{]}",
        "*": "{*}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)


class Ends(NamedTuple):
    """The ends of an interval, each None where it is not defined; a CSV file has a column for either."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Entry:
    """One column of one row: as printed, a line break where it may take several lines, and plain."""

    text: str = ""
    value: float | int | str | Ends | None = None


def number_entry(value: float | None) -> Entry:
    """A number; empty where it is not defined."""
    return Entry() if value is None or not isfinite(value) else Entry(number(value), value)


def interval_entry(low: float, high: float, text: str) -> Entry:
    """An interval as printed; empty where the text is."""
    return Entry(text, Ends(low, high) if text else Ends())


def wrapped(text: str) -> str:
    """The text in lines of a column's width, broken after blanks and joints of names; wide ones count twice."""
    lines = [""]
    for part in filter(None, re.findall(r"[^\s+_/:,]*[\s+_/:,]?|.", text)):
        width = sum(2 if character >= "\u2e80" else 1 for character in (lines[-1] + part).rstrip())
        if width > _LINE and lines[-1]:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


@dataclass(frozen=True)
class Row:
    """One printed row; ``term`` is the coefficient it belongs to, empty below the coefficients."""

    kind: Kind
    label: str
    entries: tuple[Entry, ...]
    term: str = ""


@dataclass(frozen=True)
class PrintedTable:
    """A printed table; ``header`` names the columns of ``Row.entries``, ``stub`` that of the labels.

    ``digits`` are decimals that its numbers have by choice, whatever stands beside them.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    stub: str = ""
    words: Words = ENGLISH
    digits: int | None = None

    def panels(self, columns: int = 8) -> tuple[PrintedTable, ...]:
        """Panels of about equal width and at most ``columns`` columns; rows empty in a panel are left out."""
        total = len(self.header)
        width = ceil(total / ceil(total / columns))
        return tuple(self._panel(start, min(start + width, total)) for start in range(0, total, width))

    def _panel(self, start: int, stop: int) -> PrintedTable:
        cut = (replace(row, entries=row.entries[start:stop]) for row in self.rows)
        rows = tuple(row for row in cut if any(entry.text for entry in row.entries))
        header = self.header[start:stop]
        if header == self.header:
            return replace(self, rows=rows)
        form = "{title}, columns {first} to {last}" if len(header) > 1 else "{title}, column {first}"
        title = self.words(form, title=self.title, first=header[0], last=header[-1])
        return replace(self, title=title, header=header, rows=rows)

    def to_text(self) -> str:
        """The table for a terminal, decimals aligned; a Chinese character takes two places."""
        return "\n\n".join(_text(panel) for panel in self._visible().panels()) + "\n"

    def to_latex(self) -> str:
        """The table for a paper: booktabs and threeparttable, one float a panel."""
        packages = "% needs \\usepackage{booktabs,threeparttable}; Chinese text needs XeLaTeX or LuaLaTeX\n"
        return packages + "\n".join(_latex(panel) for panel in self._visible().panels())

    def to_html(self, *, standalone: bool = False) -> str:
        """The table as a fragment of a page, or as a page of its own."""
        body = "\n".join(_html(panel) for panel in self.panels())
        if not standalone:
            return body
        head = f'<head>\n<meta charset="utf-8">\n<title>{escape(self.title)}</title>\n</head>'
        return f'<!doctype html>\n<html lang="{self.words.html}">\n{head}\n<body>\n{body}\n</body>\n</html>\n'

    def to_csv(self) -> str:
        """The printed rows with plain, unrounded numbers: columns ``term, row`` and one a cell, two of intervals.

        Text that a spreadsheet would take for a formula has an apostrophe before it (`spreadsheet_cell`).
        """
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        paired = {
            place
            for row in self.rows
            for place, entry in enumerate(row.entries)
            if isinstance(entry.value, Ends)
        }
        writer.writerow(["term", "row", *map(spreadsheet_cell, self._csv_header(paired))])
        for row in self.rows:
            name = {"coefficient": "estimate", "error": f"std_error {row.label}"}.get(row.kind, row.label)
            cells: list[float | int | str | None] = [row.term, name]
            for place, entry in enumerate(row.entries):
                if isinstance(entry.value, Ends):
                    cells += entry.value
                else:
                    cells += [entry.value, None] if place in paired else [entry.value]
            writer.writerow([spreadsheet_cell(cell) if isinstance(cell, str) else cell for cell in cells])
        return stream.getvalue()

    def _csv_header(self, paired: Collection[int]) -> Iterator[str]:
        """Names of the columns, of those in these places two each."""
        for place, name in enumerate(self.header):
            if place in paired:
                yield self.words("{interval}, low", interval=name)
                yield self.words("{interval}, high", interval=name)
            else:
                yield name

    def _visible(self) -> PrintedTable:
        """The table with control characters of names and titles written out, each on one line."""

        def line(text: str) -> str:
            return visible(text).replace("\n", " ")

        rows = (
            replace(
                row,
                label=line(row.label),
                entries=tuple(replace(entry, text=visible(entry.text)) for entry in row.entries),
            )
            for row in self.rows
        )
        return replace(
            self,
            title=line(self.title),
            header=tuple(map(line, self.header)),
            rows=tuple(rows),
            notes=tuple(map(line, self.notes)),
        )


def _blocks(panel: PrintedTable) -> list[list[Row]]:
    lines = (line for row in panel.rows for line in _lines(row))
    return [list(rows) for _, rows in groupby(lines, key=lambda row: _BLOCK[row.kind])]


def _lines(row: Row) -> list[Row]:
    """The row, and one more without a label for every further line of its entries."""
    split = [entry.text.split("\n") for entry in row.entries]
    lines = zip_longest(*split, fillvalue="")
    long = row.kind == "setting" and max(len(text) for texts in split for text in texts) > _LONG
    kind: Kind = "words" if long else row.kind
    rows = [replace(row, kind=kind, entries=tuple(Entry(text) for text in line)) for line in lines]
    return [rows[0], *(replace(line, label="") for line in rows[1:])]


def _text(panel: PrintedTable) -> str:
    labels = max(places(panel.stub), *(places(_text_label(row)) for row in panel.rows))
    blocks = [[(_text_label(row), _hung_entries(row)) for row in rows] for rows in _blocks(panel)]
    header = [_hung(name) for name in panel.header]
    columns = zip(header, *(texts for block in blocks for _, texts in block), strict=True)
    widths = [2 + max(map(places, column)) for column in columns]
    if all(name.startswith("(") for name in panel.header):  # numbered columns are of one width
        widths = [max(widths)] * len(widths)
    dashes = "-" * (labels + sum(widths))

    def line(label: str, texts: Sequence[str]) -> str:
        cells = [flush_right(text, width) for width, text in zip(widths, texts, strict=True)]
        return "".join([flush_left(label, labels), *cells]).rstrip()

    lines = [*([panel.title] if panel.title else []), dashes, line(panel.stub, header)]
    for block in blocks:
        lines += [dashes, *(line(label, texts) for label, texts in block)]
    notes = (filled(note, max(len(dashes), 72)) for note in panel.notes)
    return "\n".join([*lines, dashes, *notes])


def _hung_entries(row: Row) -> list[str]:
    texts = [entry.text for entry in row.entries]
    return texts if row.kind == "words" else [_hung(text) for text in texts]


def _text_label(row: Row) -> str:
    return f"  {row.label}" if row.kind == "error" else row.label


def _hung(text: str) -> str:
    # Stars and brackets hang to the right of the digits, so that decimals stand under decimals.
    stem = text.rstrip("*)")
    return stem + text[len(stem) :].ljust(3)


def _latex(panel: PrintedTable) -> str:
    def line(row: Row) -> str:
        label = row.label.translate(_LATEX)
        cells = [_latex_entry(row, entry) for entry in row.entries]
        return " & ".join([rf"\quad {label}" if row.kind == "error" else label, *cells])

    body = " \\\\\n\\midrule\n".join(" \\\\\n".join(map(line, block)) for block in _blocks(panel))
    # LaTeX numbers its tables itself.
    caption = re.sub(r"^Table\s+\w+[.:]\s*", "", panel.title).translate(_LATEX)
    header = " & ".join(name.translate(_LATEX) for name in (panel.stub, *panel.header))
    notes = "\n".join(f"\\item {note.translate(_LATEX)}" for note in panel.notes)
    return (
        "\\begin{table}[htbp]\n\\centering\n\\begin{threeparttable}\n"
        + (f"\\caption{{{caption}}}\n" if caption else "")
        + f"\\begin{{tabular}}{{@{{}}l*{{{len(panel.header)}}}{{c}}@{{}}}}\n\\toprule\n"
        f"{header} \\\\\n\\midrule\n{body} \\\\\n\\bottomrule\n\\end{{tabular}}\n"
        f"\\begin{{tablenotes}}\\footnotesize\n{notes}\n\\end{{tablenotes}}\n"
        "\\end{threeparttable}\n\\end{table}\n"
    )


def _latex_entry(row: Row, entry: Entry) -> str:
    if row.kind != "coefficient":
        return entry.text.translate(_LATEX)
    digits = entry.text.rstrip("*")
    stars = entry.text[len(digits) :]
    return digits.replace("-", "$-$") + (f"$^{{{stars}}}$" if stars else "")


def _html(panel: PrintedTable) -> str:
    def line(row: Row) -> str:
        cells = "".join(f"<td>{_html_entry(row, entry)}</td>" for entry in row.entries)
        return f'<tr class="{row.kind}"><th scope="row">{escape(row.label)}</th>{cells}</tr>'

    title = escape(panel.title)
    header = "".join(f'<th scope="col">{escape(name)}</th>' for name in panel.header)
    caption = f"<caption>{title}</caption>" if title else ""
    stub = f'<th scope="col">{escape(panel.stub)}</th>' if panel.stub else "<td></td>"
    blocks = (list(rows) for _, rows in groupby(panel.rows, key=lambda row: _BLOCK[row.kind]))
    bodies = "\n".join("<tbody>\n" + "\n".join(map(line, block)) + "\n</tbody>" for block in blocks)
    notes = " ".join(escape(note) for note in panel.notes)
    return (
        f'<div class="scroll" role="region" aria-label="{title}" tabindex="0">\n<table class="regression">\n'
        f"{caption}\n<thead><tr>{stub}{header}</tr></thead>\n{bodies}\n</table>\n</div>\n"
        f'<p class="notes">{notes}</p>'
    )


def _html_entry(row: Row, entry: Entry) -> str:
    text = entry.text.replace("-", "\N{MINUS SIGN}") if row.kind == "coefficient" else entry.text
    if "\n" in text:
        return "<br>".join(map(escape, text.split("\n")))
    stem = text.rstrip("*)") if row.kind in ("coefficient", "error") else text
    tail = text[len(stem) :]
    return escape(stem) + (f'<span class="hang">{tail}</span>' if tail else "")
