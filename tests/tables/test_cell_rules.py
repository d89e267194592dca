"""Lines of a job that rules of cells propose."""

from __future__ import annotations

import pytest
import yaml

from engine.tables.cell_rules import NO_RULES, CellRules
from engine.tables.problems import Problems, SeveralProblems, TableProblem, job_line


def test_rows_are_added_to_those_passed_over_already() -> None:
    rules = CellRules("panel.join[0]", has_layout=True, skipped=frozenset({3}))
    assert rules.rows_line([9, 7]) == "panel.join[0].skip_rows: [3, 7, 9]"
    assert rules.rows_line(list(range(10, 40))) == ""
    assert CellRules("panel").rows_line([9]) == ""


def test_codes_belong_to_the_panel_also_for_joined_tables() -> None:
    assert (
        CellRules("panel.join[0]").missing_line("x", ["a: b", 9.0, -1.5])
        == "panel.missing: {x: ['a: b', 9, -1.5]}"
    )
    assert CellRules("pair_table").missing_line("x", ["na "]) == "pair_table.missing: {x: [na]}"
    assert CellRules("panel.join[0]").recode_line("x", ["高"]) == "panel.join[0].recode: {x: {高: NUMBER}}"
    assert CellRules("panel").decimal_line("comma") == "panel.decimal: comma"


def test_without_a_job_there_is_no_line() -> None:
    lines = [NO_RULES.rows_line([3]), NO_RULES.missing_line("x", [1]), NO_RULES.recode_line("x", ["a"])]
    assert [*lines, NO_RULES.decimal_line("point")] == [""] * 4


@pytest.mark.parametrize("value", [{"x": ["yes", "~", "1", 1, "a # b", "'", "中文"]}, [3, 4], "point", True])
def test_a_line_is_yaml(value: object) -> None:
    key, _, text = job_line("panel.key", value).partition(": ")
    assert (key, yaml.safe_load(text)) == ("panel.key", value)


def test_lines_of_one_key_are_put_together() -> None:
    problems = Problems("a.csv")
    for number, line in enumerate(
        (
            "panel.missing: {x: [a]}  # if it means missing",
            "panel.missing: {x: [a, b], y: [c]}",
            "panel.skip_rows: [9]",
            "panel.skip_rows: [3, 9]",
            "panel.decimal: comma",
            "",
        )
    ):
        problems.add(TableProblem(f"problem {number}", where="a.csv", remedy="mend it", job_line=line))
    with pytest.raises(SeveralProblems) as caught:
        problems.raise_any()
    text = str(caught.value)
    assert text.endswith(
        "in the job file, together: panel.missing: {x: [a, b], y: [c]}\n"
        "  in the job file, together: panel.skip_rows: [3, 9]\n  hint: mend it"
    )
    assert text.count("in the job file: ") == 5
