"""The figure of several event studies: what it draws, in which years, and where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from strategies import city_panel

import engine
from engine.report.language.wording import words_of
from engine.report.outputs import event_study_overlay
from engine.report.outputs.event_study_overlay import MARKS, event_studies_figure
from engine.report.outputs.output import JobReport

JOBS = Path(__file__).parents[2] / "jobs" / "staggered"


def event_study(years: range, estimate: float) -> pd.DataFrame:
    """Pair and dyadic intervals, of which the dyadic ones are wider."""
    rows = [
        {"event_time": year, "errors": errors, "estimate": estimate + year, "conf_low": estimate + year - half,
         "conf_high": estimate + year + half, "band_low": estimate + year - 1.5 * half,
         "band_high": estimate + year + 1.5 * half}
        for year in years for errors, half in (("pair", 0.1), ("dyadic_cr2", 0.5))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_each_cell_has_its_estimates_and_preferred_intervals_in_common_years() -> None:
    studies = {"first": event_study(range(-3, 3), 0.0), "second": event_study(range(-6, 2), 2.0)}
    figure = event_studies_figure(studies, title="title", outcome="growth")
    axes = figure.axes[0]
    assert [int(tick) for tick in axes.get_xticks()] == [-3, -2, -1, 0, 1]
    dots = [dots for dots in axes.collections if dots.get_label() in studies]
    assert [dot.get_label() for dot in dots] == ["first", "second"]
    for dot, (rows, sign) in zip(dots, ((studies["first"], -1), (studies["second"], 1)), strict=True):
        shown = rows[(rows["errors"] == "dyadic_cr2") & rows["event_time"].between(-3, 1)]
        expected = np.stack([shown["event_time"] + sign * 0.35, shown["estimate"]], axis=1)
        np.testing.assert_allclose(np.asarray(dot.get_offsets()), expected)
    bars = np.concatenate([np.asarray(line.get_segments()) for line in axes.collections if line not in dots])
    heights = np.diff(bars[:, :, 1]).ravel()  # of intervals, and of bands in the same years
    np.testing.assert_allclose(np.sort(heights), [1.0] * (len(heights) // 2) + [1.5] * (len(heights) // 2))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["first", "second", "95% interval, dyadic CR2", "95% band of all years together"]


def test_the_omitted_year_is_on_the_axis_and_hollow_at_zero() -> None:
    rows = event_study(range(-3, 3), 0.0)
    rows = rows[rows["event_time"] != -1]
    figure = event_studies_figure({"first": rows, "second": rows}, title="title", base=-1)
    (axes,) = figure.axes
    assert [int(tick) for tick in axes.get_xticks()] == [-3, -2, -1, 0, 1, 2]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["−3", "−2", "−1", "0", "1", "2"]
    base = next(line for line in axes.lines if line.get_label() == "reference period (−1)")
    assert (list(base.get_xdata()), list(base.get_ydata())) == ([-1], [0.0])
    assert base.get_markerfacecolor() == "white"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    band = "95% band of all years together"
    assert labels == ["first", "second", "reference period (−1)", "95% interval, dyadic CR2", band]


@pytest.mark.parametrize(
    ("bases", "drawn"), [((-1, -1), -1), ((-1, -2), None), ((-2, None), -2), ((None, None), None)]
)
def test_the_omitted_year_is_that_of_all_cells_that_omit_any(
    monkeypatch: pytest.MonkeyPatch, bases: tuple[int | None, ...], drawn: int | None
) -> None:
    cells = [
        {"cell": name, "label": name, "event_study": {"base": base}}
        for name, base in zip("ab", bases, strict=True)
    ]
    rows = pd.concat([event_study(range(-3, 3), 0.0).assign(cell=name) for name in "ab"])
    estimates = pd.DataFrame({"cell": ["a", "b"], "outcome": "growth"})
    data = {"synthetic": False, "source": "", "description": ""}
    manifest = {"cells": cells, "title": "T", "confidence": 0.95, "data": data, "more_data": []}
    report = JobReport({"estimates": estimates, "event_study": rows}, manifest)
    asked = []
    monkeypatch.setattr(
        event_study_overlay, "event_studies_figure", lambda *_, base, **__: asked.append(base)
    )
    list(event_study_overlay.EVENT_STUDY_OVERLAY.figures(report))
    assert asked == [drawn]


def test_cells_without_a_common_year_are_drawn_whole() -> None:
    studies = {"first": event_study(range(-3, -1), 0.0), "second": event_study(range(2), 2.0)}
    figure = event_studies_figure(studies, title="title", words=words_of("zh"))
    assert [int(tick) for tick in figure.axes[0].get_xticks()] == [-3, -2, 0, 1]


@pytest.mark.parametrize(("n_cells", "has_figure"), [(1, False), (2, True), (len(MARKS) + 1, False)])
def test_a_job_has_it_where_cells_can_be_told_apart(tmp_path: Path, n_cells: int, has_figure: bool) -> None:
    windows = (
        [[-2, high] for high in (0, 1)] + [[-3, high] for high in (0, 1)] + [[-4, high] for high in (0, 1)]
    )
    windows += [[-1, 1], [-2, 2], [-3, 2]]
    job = {
        "job": "events",
        "panel": {"source": "frame:panel"},
        "outcome": {"synchronization": "output"},
        "treatment": {"adoption": "pilot_year", "rule": "exactly_one"},
        "pairs": {"exclude": "both_treated"},
        "model": {"estimator": "event_study", "base": -1, "errors": ["pair", "dyadic"]},
        "cases": {f"window {low} {high}": {"model.window": [low, high]} for low, high in windows[:n_cells]},
    }
    engine.run(job, frames={"panel": city_panel(3)}, out=tmp_path)
    entries = yaml.safe_load((tmp_path / "events" / "figures.json").read_text(encoding="utf-8"))
    texts = {entry["name"]: entry["text"] for entry in entries}
    assert ("event_studies" in texts) == has_figure
    assert ((tmp_path / "events" / "event_studies.png").exists()) == has_figure
    if has_figure:
        assert texts["event_studies"].startswith("window -2 0: Event study; ")
        assert "year -1:" not in texts["event_studies"]  # the base year


@pytest.mark.parametrize("name", ["figure1", "euro", "all_pilots"])
def test_shipped_jobs_have_every_estimator_in_one_figure(tmp_path: Path, name: str) -> None:
    results = engine.run(JOBS / f"{name}.yaml", out=tmp_path, lang="zh" if name == "euro" else "en")
    events = results.frames["event_study"]
    assert events["case"].nunique() == 7
    common = events[events["event_time"].between(-2, 3) & (events["errors"] == "dyadic_cr2")]
    assert (common.groupby("event_time")["case"].nunique() == 7).all()
    # In the year of adoption the robust ones compare the same pairs nearly alike.
    first = common[common["event_time"] == 0].set_index("case")["estimate"]
    assert abs(first["Sun and Abraham"] - first["Callaway and Sant'Anna"]) < 0.02 * (1 + abs(first.max()))
    assert (tmp_path / f"staggered_{name}" / "event_studies.pdf").stat().st_size > 10_000
