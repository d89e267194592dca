"""A printed table as an object: shown where it is the last value of a notebook's cell, saved by a file's ending."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError
from engine.report.docx import docx_bytes
from engine.report.printed_table import PrintedTable

_STYLE = (
    "<style>.dyadid td{text-align:right}.dyadid th[scope=row]{text-align:left;font-weight:normal}"
    ".dyadid tr.error th{padding-left:1.5em}.dyadid .hang{position:absolute}</style>"
)


@dataclass(frozen=True, repr=False)
class Table:
    """A table for a terminal, a notebook, a paper or Word."""

    printed: PrintedTable

    def text(self) -> str:
        """For a terminal."""
        return self.printed.to_text()

    def latex(self) -> str:
        """For a paper; needs the packages booktabs and threeparttable."""
        return self.printed.to_latex()

    def html(self) -> str:
        """As a fragment of a page."""
        return self.printed.to_html()

    def save(self, path: str | Path) -> Path:
        """Write ``.docx``, ``.tex``, ``.html``, ``.csv`` or ``.txt``, by the ending of the path."""
        path = Path(path)
        writers = {
            ".docx": lambda: docx_bytes([self.printed]),
            ".tex": lambda: self.latex().encode(),
            ".html": lambda: self.printed.to_html(standalone=True).encode(),
            ".csv": lambda: self.printed.to_csv().encode(),
            ".txt": lambda: self.text().encode(),
        }
        ending = path.suffix.lower()
        if ending not in writers:
            raise InputError(
                f"no table is written as '{path.suffix}'",
                where=str(path),
                remedy=f"take one of {', '.join(writers)}",
            )
        path.write_bytes(writers[ending]())
        return path

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f'<div class="dyadid">{_STYLE}{self.html()}</div>'
