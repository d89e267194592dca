"""Cells: how many, in which order, under which name; and an id that only content moves."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.spec import Plan, expand, load_job, spec_hash


def plan(path: Path, *overrides: str) -> Plan:
    return expand(load_job(path, overrides=overrides))


def test_table_1_has_six_cells(write: Any, table_1: str) -> None:
    cells = plan(write(table_1)).cells
    names = ["edu", "tech", "second", "fd", "innov"]
    assert [cell.job.model.controls for cell in cells] == [names[:count] for count in range(6)]
    assert [cell.number for cell in cells] == [1, 2, 3, 4, 5, 6]
    assert [cell.label for cell in cells[:3]] == [
        "model.controls=none",
        "model.controls=edu",
        "model.controls=edu+tech",
    ]
    assert [cell.keys["model.controls"] for cell in cells[2:4]] == ["edu+tech", "edu+tech+second"]
    assert all(not cell.job.sweep and not cell.job.cases for cell in cells)
    assert len({cell.id for cell in cells}) == 6
    assert all(len(cell.id) == 10 and int(cell.id, 16) >= 0 for cell in cells)


def test_no_sweep_is_one_cell(write: Any, minimal: str) -> None:
    [cell] = plan(write(minimal)).cells
    assert (cell.number, cell.label, dict(cell.keys)) == (1, "small", {})


def test_product_in_the_order_written(write: Any, minimal: str) -> None:
    sweep = "sweep: {outcome.window: [full, pre], model.lag: [0, 1], model.confidence: [0.9, null]}"
    cells = plan(write(minimal + sweep)).cells
    found = [(cell.job.outcome.window, cell.job.model.lag, cell.job.model.confidence) for cell in cells]
    assert found == list(itertools.product(["full", "pre"], [0, 1], [0.9, 0.95]))
    assert cells[1].label == "outcome.window=full, model.lag=0, model.confidence=default"
    assert dict(cells[1].keys) == {
        "outcome.window": "full",
        "model.lag": "0",
        "model.confidence": "default",
    }


def test_cases_dotted_and_nested(write: Any, minimal: str) -> None:
    text = """
cases:
  plain: {}
  dotted: {model.controls: [edu], pairs.exclude: both_treated}
  nested: {model: {controls: [edu]}, pairs: {gravity: {mass: [gdp]}}}
  fewer: {controls.tech: null}
"""
    cells = plan(write(minimal + text)).cells
    assert [cell.label for cell in cells] == ["plain", "dotted", "nested", "fewer"]
    assert [dict(cell.keys) for cell in cells] == [{"case": cell.label} for cell in cells]
    plain, dotted, nested, fewer = (cell.job for cell in cells)
    assert (plain.model.controls, plain.pairs.exclude) == (None, "none")
    assert (dotted.model.controls, dotted.pairs.exclude) == (["edu"], "both_treated")
    assert nested.pairs.gravity is not None
    assert (nested.model.controls, nested.pairs.gravity.mass) == (["edu"], ["gdp"])
    assert list(fewer.controls) == ["edu"]


def test_every_case_under_every_combination(write: Any, minimal: str) -> None:
    text = "cases: {a: {outcome.window: full}, b: {outcome.window: pre}}\nsweep: {model.lag: [0, 1]}"
    cells = plan(write(minimal + text)).cells
    assert [cell.label for cell in cells] == [
        "a, model.lag=0",
        "a, model.lag=1",
        "b, model.lag=0",
        "b, model.lag=1",
    ]
    assert dict(cells[2].keys) == {"case": "b", "model.lag": "0"}
    assert [(cell.job.outcome.window, cell.job.model.lag) for cell in cells] == [
        ("full", 0),
        ("full", 1),
        ("pre", 0),
        ("pre", 1),
    ]


def test_mappings_merge_and_print(write: Any, minimal: str) -> None:
    text = "pairs: {gravity: {mass: [gdp], year: first}}\n"
    text += "sweep: {pairs.gravity: [{keep: all}, null, {mass: [a, b]}]}"
    cells = plan(write(minimal + text)).cells
    gravities = [cell.job.pairs.gravity for cell in cells]
    assert [gravity and (gravity.mass, gravity.year, gravity.keep) for gravity in gravities] == [
        (["gdp"], "first", "all"),
        None,
        (["a", "b"], "first", "above_median"),
    ]
    assert [cell.keys["pairs.gravity"] for cell in cells] == ["keep=all", "default", "mass=a+b"]


def test_the_job_itself_is_left_alone(write: Any, table_1: str) -> None:
    loaded = load_job(write(table_1))
    before = repr(loaded.data)
    expand(loaded)
    assert repr(loaded.data) == before


def test_id_is_the_same_on_any_machine(write: Any, minimal: str) -> None:
    here, there = plan(write(minimal, "here/a.yaml")), plan(write(minimal, "far/away/b.yaml"))
    assert here.cells[0].job.panel != there.cells[0].job.panel
    assert here.cells[0].id == there.cells[0].id
    assert spec_hash(here) == spec_hash(there)


def test_id_ignores_what_computes_nothing(write: Any, minimal: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write("", "other.csv")
    path = write(minimal)
    first = plan(path).cells[0].id
    same = plan(
        path, "job=other", "title=T", "runtime.tile=64", "sweep.model.lag=[0]", "model.treatment=true"
    )
    assert same.cells[0].id == first
    for override in (
        "model.confidence=0.9",
        "panel.source=other.csv",
        "controls.tech=null",
        "years=[2010, 2019]",
    ):
        assert plan(path, override).cells[0].id != first


def test_a_swept_source_prints_as_written(write: Any, minimal: str, tmp_path: Path) -> None:
    path = write(minimal + "sweep: {panel.source: [a.csv, ../b.csv, 'builtin:euro']}", "jobs/a.yaml")
    cells = plan(path).cells
    assert [cell.keys["panel.source"] for cell in cells] == ["a.csv", "../b.csv", "builtin:euro"]
    panels = [cell.job.panel for cell in cells]
    assert [panel and panel.source for panel in panels] == [
        str(tmp_path / "jobs" / "a.csv"),
        str(tmp_path / "b.csv"),
        "builtin:euro",
    ]


def test_two_files_written_alike_do_not_pass_for_one(write: Any, minimal: str) -> None:
    write(minimal + "cases: {base: {panel.source: x.csv}}", "shared/base.yaml")
    child = write(
        "{job: c, extends: ../shared/base.yaml, cases: {own: {panel.source: x.csv}}}", "jobs/c.yaml"
    )
    with pytest.raises(InputError, match="have the same id"):
        plan(child)


AXES = {
    "model.controls": ["[]", "[edu]", "[edu, tech]", "null"],
    "outcome.window": ["full", "pre"],
    "model.confidence": ["0.9", "0.95", "0.99"],
}


@st.composite
def reordered(draw: st.DrawFn) -> str:
    axes = [
        f"{key}: [{', '.join(draw(st.permutations(AXES[key])))}]" for key in draw(st.permutations(list(AXES)))
    ]
    return f"sweep: {{{', '.join(axes)}}}\n"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reordered())
def test_ids_do_not_depend_on_the_order_of_the_sweep(write: Any, minimal: str, text: str) -> None:
    written = "".join(f"  {key}: [{', '.join(values)}]\n" for key, values in AXES.items())
    expected = plan(write(f"{minimal}sweep:\n{written}"))
    found = plan(write(minimal + text))
    assert len(found.cells) == 24
    assert {cell.id: cell.job for cell in found.cells} == {cell.id: cell.job for cell in expected.cells}
    assert [cell.number for cell in found.cells] == list(range(1, 25))
    if [cell.id for cell in found.cells] == [cell.id for cell in expected.cells]:
        assert spec_hash(found) == spec_hash(expected)
    else:
        assert spec_hash(found) != spec_hash(expected)
