"""The look of all figures, and their files.

Matplotlib is imported inside the functions, since most runs draw nothing; the object-oriented interface
keeps its global state alone, and metadata carry no time, so equal numbers give equal bytes.
"""

from __future__ import annotations

import io
import logging
import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.report.figure_choices import FigureForm, choices_made, is_narrow, letter_points, size_of
from engine.report.palette import GREY, GRID, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HAN_SANS = "Dyadid Han Sans"
_HAN_SANS_FILE = Path(__file__).parent / "fonts" / "han_sans.ttf"
# For characters that the font of the package lacks, where one of these is installed.
_FURTHER = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "SimHei",
    "Arial Unicode MS",
)
_CODE = re.compile(r"Glyph (\d+) ")
_DRAWING, _PALETTE = 2000, 48
"""Most colours of a drawing, nearly all of them shades at the rims of letters and lines, and those that are kept."""
_STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.7,
    "axes.labelcolor": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "axes.unicode_minus": True,
    "text.parse_math": False,
    "svg.hashsalt": "dyadid",
}


def figure_bytes(figure: Figure, form: FigureForm, *, dpi: int = 200) -> bytes:
    """The figure as a PDF or PNG file; equal figures give equal bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.text import Text

    stream = io.BytesIO()
    characters = "".join(text.get_text() for text in figure.findobj(Text))
    # A font that stands in for ours may have PostScript outlines, which cannot be embedded as Type 42.
    fonttype = 42 if _drawn_by_ours(characters) else 3
    with figure_style({"pdf.fonttype": fonttype}), _missing_glyphs_logged():
        if form == "pdf":
            metadata = {"CreationDate": None, "Creator": None, "Producer": None}
            FigureCanvasPdf(figure).print_figure(stream, format="pdf", metadata=metadata)
        elif form == "svg":
            FigureCanvasSVG(figure).print_figure(
                stream, format="svg", metadata={"Date": None, "Creator": None}
            )
        else:
            FigureCanvasAgg(figure).print_figure(stream, format="png", dpi=dpi, metadata={"Software": None})
            return _of_few_colours(stream, dpi)
    return stream.getvalue()


def _of_few_colours(png: io.BytesIO, dpi: int) -> bytes:
    """The picture with a palette, a third of the bytes, where it is a drawing; one of many colours as it is."""
    from PIL import Image

    picture = Image.open(png).convert("RGB")
    if picture.getcolors(_DRAWING) is None:
        return png.getvalue()
    reduced = io.BytesIO()
    picture.quantize(_PALETTE, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        reduced, "PNG", optimize=True, dpi=(dpi, dpi)
    )
    return reduced.getvalue()


def _drawn_by_ours(characters: str) -> bool:
    """Whether no installed font is needed beside matplotlib's own and that of the package."""
    from matplotlib.ft2font import FT2Font

    wide = {ord(character) for character in characters if character >= "\u2e80"}
    return not wide or wide <= FT2Font(str(_HAN_SANS_FILE)).get_charmap().keys()


def canvas(size: tuple[float, float], *, title: str, subtitle: str) -> tuple[Figure, Axes]:
    """A figure of ``size`` inches, and its axes, with title and grid."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    size = size_of(size)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    axes = figure.add_subplot()
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=3)
    heading(axes, title=title, subtitle=subtitle, width=size[0])
    return figure, axes


def heading(axes: Axes, *, title: str, subtitle: str, width: float) -> None:
    """Title, in lines that fit a figure ``width`` inches wide, and subtitle, above the axes."""
    anchor: dict[str, Any] = {
        "xy": (0, 1),
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "va": "bottom",
    }
    if subtitle:
        axes.annotate(subtitle, xytext=(0, 9), fontsize=letter_points(9), color=GREY, **anchor)
    if title and choices_made().title:
        height = 25 if subtitle else 9
        axes.annotate(
            in_lines(title, width),
            xytext=(0, height),
            fontsize=letter_points(11),
            fontweight=title_weight(title),
            color=INK,
            **anchor,
        )


def figure_heading(figure: Figure, *, title: str, subtitle: str) -> None:
    """As `heading`, from the left edge of a figure that has several axes, or long labels beside them."""
    title = title if choices_made().title else ""
    lines = in_lines(title, 0.88 * figure.get_figwidth())  # bold letters are wide
    above = figure.suptitle(
        f"{lines}\n " if subtitle else lines,
        x=0.01,
        ha="left",
        fontsize=letter_points(11),
        fontweight=title_weight(title),
        color=INK,
    )
    if subtitle:  # in the last line, which is left empty
        below = figure.axes[0].annotate(
            subtitle, (0, 0), xycoords=above, va="bottom", fontsize=letter_points(9), color=GREY
        )
        below.set_in_layout(False)


def title_weight(title: str) -> str:
    """Bold, but where the Chinese font stands in, which has one weight: Latin letters and digits would stand out."""
    return "normal" if any(letter >= "\u2e80" for letter in title) else "bold"


def in_lines(title: str, width: float) -> str:
    """A title in lines that fit into ``width`` inches."""
    return textwrap.fill(title, int(width * 10))


def legend(figure: Figure, axes: Axes) -> None:
    """The legend of the axes, below the figure."""
    handles, labels = axes.get_legend_handles_labels()
    n_columns = 2 if len(labels) > 2 and not is_narrow(figure.get_figwidth()) else 1
    figure.legend(handles, labels, loc="outside lower left", ncols=n_columns)


@lru_cache
def chinese_fonts() -> tuple[str, ...]:
    """Fonts with Chinese characters: that of the package, alike on all machines, then installed ones."""
    from matplotlib.font_manager import fontManager

    if _HAN_SANS not in fontManager.get_font_names():
        fontManager.addfont(_HAN_SANS_FILE)
        (entry,) = (entry for entry in fontManager.ttflist if entry.name == _HAN_SANS)
        fontManager.ttflist.append(
            replace(entry, weight=700)
        )  # bold titles have its one weight, without a word
    installed = set(fontManager.get_font_names())
    return (_HAN_SANS, *(name for name in _FURTHER if name in installed))


def installed_fonts() -> list[str]:
    """Names of the fonts that figures can have."""
    from matplotlib.font_manager import fontManager

    return sorted(fontManager.get_font_names())


@contextmanager
def figure_style(options: dict[Any, Any] | None = None) -> Iterator[None]:
    """The look of all figures."""
    import matplotlib

    font = choices_made().font
    sized = (key for key in _STYLE if key.endswith(("font.size", "labelsize", "legend.fontsize")))
    sizes = {key: letter_points(_STYLE[key]) for key in sized}
    family = [*([font] if font else []), "DejaVu Sans", *chinese_fonts()]
    with matplotlib.rc_context({**_STYLE, **sizes, **(options or {}), "font.family": family}):
        yield


@contextmanager
def _missing_glyphs_logged() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    missing = [warning for warning in caught if "missing from" in str(warning.message)]
    for warning in caught:
        if "constrained_layout not applied" in str(warning.message):  # long labels: drawn anyhow
            logging.getLogger(__name__).debug("%s", warning.message)
        elif warning not in missing:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    codes = {int(code) for warning in missing for code in _CODE.findall(str(warning.message))}
    if codes:
        _tell_missing("".join(map(chr, sorted(codes))))


@lru_cache
def _tell_missing(characters: str) -> None:
    """Once for figures that lack the same."""
    logging.getLogger(__name__).warning(
        "no font can draw %s in a figure; install one that has them, e.g. Noto Sans CJK", characters
    )
