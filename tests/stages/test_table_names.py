"""Names of the block ``table`` are used or refused, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from strategies import city_panel

Command = Callable[..., tuple[int, str, str]]

JOB = """
job: small
panel: {source: panel.csv}
outcome: {synchronization: output}
pairs: {exclude: both_treated}
treatment: {adoption: pilot_year, rule: exactly_one}
controls: {size: {sum: output}, gap: {neg_abs_diff: output}}
sweep: {model.controls: [[], [size]]}
"""


def write(tmp_path: Path, table: dict[str, object], **more: object) -> None:
    city_panel(0).to_csv(tmp_path / "panel.csv", index=False)
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({**yaml.safe_load(JOB), "table": table, **more}))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"labels": {"polcy": "x"}},
            "job.yaml: table.labels: no cell has 'polcy'\n  hint: did you mean 'policy'?",
        ),
        ({"order": ["siez"]}, "job.yaml: table.order: no cell has 'siez'\n  hint: did you mean 'size'?"),
        (
            {"drop": ["^zzz"]},
            "job.yaml: table.drop: no cell has '^zzz'\n  hint: the terms are policy, size",
        ),
        ({"keep": ["policy", "zzz"]}, "job.yaml: table.keep: no cell has 'zzz'"),
    ],
)
def test_a_name_that_nothing_has_is_refused(
    command: Command, tmp_path: Path, table: dict[str, object], message: str
) -> None:
    write(tmp_path, table)
    code, _, err = command("check", "job.yaml")
    assert (code, message in err) == (2, True), err


@pytest.mark.parametrize(
    "table",
    [
        {
            "labels": {
                "size": "some cells",
                "gap": "declared",
                "output": "series",
                "synchronization of output": "o",
            }
        },
        {"order": ["^si", "gap"], "keep": ["policy", "size"], "drop": ["policy[-1]"]},
    ],
)
def test_names_of_some_cells_and_of_the_job_pass(
    command: Command, tmp_path: Path, table: dict[str, object]
) -> None:
    write(tmp_path, table)
    code, _, err = command("check", "job.yaml")
    assert code == 0, err


def test_a_layout_for_several_jobs_may_name_terms_of_the_others(command: Command, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("table: {labels: {roads: Roads}, order: [roads]}\n")
    write(tmp_path, {"digits": 3}, extends="base.yaml")
    assert command("check", "job.yaml")[0] == 0
    write(tmp_path, {"labels": {"other": "x"}})
    assert command("check", "job.yaml")[0] == 2
    assert command("check", "job.yaml", "--set", "model.lag=1")[0] == 0


def test_event_years_and_averages_are_terms(command: Command, tmp_path: Path) -> None:
    model = {"model": {"estimator": "callaway_santanna"}, "sweep": {}, "controls": {}}
    write(
        tmp_path, {"order": [r"\[-", "policy[+1]"], "labels": {"policy": "Pilot", "policy[-9]": "x"}}, **model
    )
    code, _, err = command("check", "job.yaml")
    assert code == 0, err
