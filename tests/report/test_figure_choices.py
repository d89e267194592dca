"""The block ``figures``: files, width, font and title, in a run and in what is made of its folder again."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from strategies import city_panel, run_panel

from engine import pipeline
from engine.errors import InputError
from engine.stages import job_files

WINDOW = {"estimator": "event_study", "window": [-2, 1]}
POINTS = 72 / 2.54


def files(folder: Path, **figures: Any) -> dict[str, bytes]:
    """The event study's files by ending."""
    run_panel(city_panel(2), {"out": folder}, model=WINDOW, figures=figures, title="A title")
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.suffix[1:]: path.read_bytes()
        for path in folder.rglob("event_study.*")
        if path.suffix != ".parquet"
    }


def texts(svg: bytes) -> set[str]:
    """Texts of a figure, which are comments of their glyphs."""
    return set(re.findall(r"<!-- (.*?) -->", svg.decode()))


def test_files_are_those_asked_for_and_png_for_the_page(tmp_path: Path) -> None:
    assert set(files(tmp_path)) == {"pdf", "png"}
    assert set(files(tmp_path, format=["svg"])) == {"svg", "png"}  # the PDF of before is gone
    assert set(files(tmp_path, format=["pdf"])) == {"pdf", "png"}


def test_width_font_and_title(tmp_path: Path) -> None:
    plain = files(tmp_path / "plain", format=["svg"])["svg"]
    chosen = files(tmp_path / "chosen", format=["svg"], width=10, font="DejaVu Serif", title=False)["svg"]
    (width,) = re.findall(rb'<svg[^>]*? width="([0-9.]+)pt"', chosen)
    assert float(width) == pytest.approx(10 * POINTS, rel=1e-6)
    assert b"DejaVuSerif" in chosen
    assert b"DejaVuSerif" not in plain
    assert "A title" in texts(plain)
    assert "A title" not in texts(chosen)


def test_equal_runs_give_equal_files_and_reports_of_a_folder_too(tmp_path: Path) -> None:
    choices = {"format": ["pdf", "png", "svg"], "width": 9}
    first, second = (files(tmp_path / name, **choices) for name in "ab")
    assert first == second
    for path in (tmp_path / "a").rglob("event_study.svg"):
        path.unlink()
    pipeline.report(tmp_path / "a")
    assert contents(tmp_path / "a") == first


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(
    "blocks",
    [
        {"model": WINDOW},
        {
            "inference": {
                "permutation": {"reps": 19},
                "bootstrap": {"reps": 19},
                "jackknife": {"by": "city"},
            }
        },
        {"sweep": {"model.controls": [[], ["edu"], ["dense"], ["edu", "dense"]]}},
        {
            "sweep": {
                "model.controls": [[], ["edu"], ["dense"], ["edu", "dense"]],
                "treatment.rule": ["exactly_one", "either"],
                "treatment.shift": [0, -1],
            }
        },
        {"matching": {"unit": "pair", "caliper": 2.0}, "controls": {"a": {"neg_abs_diff": "density"}}},
    ],
    ids=["event study", "draws", "cells", "curve", "matching"],
)
def test_nothing_of_a_narrow_figure_is_cut_or_covered(
    blocks: dict[str, Any], lang: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[Any, str]] = []
    of_figure = job_files.figure_bytes

    def spy(figure: Any, form: Any) -> bytes:
        content = of_figure(figure, form)
        drawn.append((figure, form))
        return content

    monkeypatch.setattr(job_files, "figure_bytes", spy)
    title = "A title that is longer than one line of any figure can be, whatever its letters"
    run_panel(
        city_panel(2),
        {"out": tmp_path, "lang": lang},
        title=title,
        figures={"width": 8, "format": ["png"]},
        **blocks,
    )
    assert drawn
    for figure, _ in drawn:
        figure.draw_without_rendering()
        assert figure.get_figwidth() == pytest.approx(8 / 2.54)
        legends = [legend.get_window_extent() for legend in figure.legends]
        for axes in figure.axes:
            box = axes.get_tightbbox()
            assert (box.x0, box.y0) >= (-1, -1)
            assert box.x1 <= figure.bbox.x1 + 1
            assert box.y1 <= figure.bbox.y1 + 1
            assert axes.bbox.height > 0.2 * figure.bbox.width
            assert not any(box.overlaps(legend) for legend in legends)
            rows = sorted(
                (row.y0, row.y1) for row in (at.get_window_extent() for at in axes.get_yticklabels())
            )
            assert all(low[1] <= high[0] + 1 for low, high in pairwise(rows) if low[1] > low[0])
            along = axes.xaxis.label.get_window_extent()
            assert along.x0 >= -1
            assert along.x1 <= figure.bbox.x1 + 1
        for whole in (figure._suptitle, figure._supxlabel):
            assert whole is None or whole.get_window_extent().width <= figure.bbox.width


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"font": "No Such Font"}, "figures.font: no font 'No Such Font' is installed"),
        ({"font": "Dejavu Sans"}, "such as DejaVu Sans"),
        ({"width": 3}, "figures.width: must be greater than or equal to 8"),
        ({"format": ["eps"]}, r"figures.format\[0\]: must be 'pdf', 'png' or 'svg'"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(figures: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_panel(city_panel(2), model=WINDOW, figures=figures)
