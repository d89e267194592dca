"""Tables and figures as objects that a notebook shows where they are the last value of a cell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.api.arguments import checked_arguments, checked_file, checked_path
from engine.errors import InputError
from engine.report.docx import docx_bytes
from engine.report.figure_style import figure_bytes
from engine.report.printed_table import PrintedTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DOTS_PER_INCH = 110  # of a figure in a notebook

_STYLE = (
    "<style>.dyadid td{text-align:right;padding:0 .5em}.dyadid th[scope=row]{text-align:left;font-weight:normal}"
    ".dyadid tr.error th{padding-left:1.5em}.dyadid .hang{position:absolute}</style>"
)


@dataclass(frozen=True, repr=False)
class Table:
    """A table for a terminal, a notebook, a paper or Word."""

    printed: PrintedTable

    @property
    def lang(self) -> str:
        """The language of its fixed words."""
        return self.printed.words.lang

    @checked_arguments()
    def text(self) -> str:
        """For a terminal."""
        return self.printed.to_text()

    @checked_arguments()
    def latex(self) -> str:
        """For a paper; needs the packages booktabs and threeparttable."""
        return self.printed.to_latex()

    @checked_arguments()
    def html(self) -> str:
        """As a fragment of a page."""
        return self.printed.to_html()

    @checked_arguments()
    def save(self, path: str | Path) -> Path:
        """Write ``.docx``, ``.tex``, ``.html``, ``.csv`` or ``.txt``, by the ending of the path.

        Raises
        ------
        InputError
            For another ending, and where no file can be.
        """
        path = checked_path(path, where="save: path")
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
        checked_file(path, where="save: path", example="table.docx")
        path.write_bytes(writers[ending]())
        return path

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f'<div class="dyadid">{_STYLE}{self.html()}</div>'


def notebook_figure(figure: Figure) -> Figure:
    """The figure, which a notebook now shows without pyplot having been imported."""
    figure._repr_png_ = partial(figure_bytes, figure, "png", dpi=_DOTS_PER_INCH)  # type: ignore[attr-defined]
    return figure
