"""Figures of draws: which term and cell they show, and words that the fonts can draw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from designs import JOBS, SMALL

import engine
from engine.report.outputs import city_influence, placebo_density
from engine.stages.report import write_report

FEW = [
    f"panel.options.cities={SMALL}",
    "inference={permutation: {reps: 19, seed: 7}, jackknife: {by: province}}",
]


def shown(folder: Path) -> dict[str, dict[str, str]]:
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    return {one["name"]: one for one in figures}


def test_of_an_event_study_the_year_of_adoption(tmp_path: Path) -> None:
    engine.run(JOBS / "paper" / "figure1.yaml", overrides=FEW, out=tmp_path)
    figures = shown(tmp_path / "paper_figure1")
    assert " of policy[+0] " in figures["placebo"]["text"]
    assert " of policy[+0] " in figures["influence"]["text"]
    assert figures["placebo"]["title"] == "Figure 1. Event study: placebo"


def test_of_several_cells_the_last_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the language of the page, in the figure and in its caption."""
    sweep = "sweep={pairs.gravity.keep: [above_median, all]}"
    engine.run(JOBS / "paper" / "column6.yaml", overrides=[*FEW, sweep], out=tmp_path)
    drawn = {}
    for module, name in ((placebo_density, "placebo_figure"), (city_influence, "influence_figure")):
        original = getattr(module, name)

        def spy(*args: object, _name: str = name, _call: object = original, **options: object) -> object:
            drawn[_name] = options["title"]
            return _call(*args, **options)  # type: ignore[operator]

        monkeypatch.setattr(module, name, spy)
    write_report(tmp_path, lang="zh", notice=pytest.fail)
    title = "Table 1, column 6: pairs.gravity.keep=all"
    assert drawn["placebo_figure"] == f"{title}：安慰剂检验"
    assert drawn["influence_figure"].startswith(f"{title}：")
    assert shown(tmp_path / "paper_column6")["placebo"]["title"] == f"{title}：安慰剂检验"
