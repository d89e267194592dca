"""Any value at any key of a job or profile is an InputError or a valid job, never another exception."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.spec import expand, load_job
from engine.spec.cluster import load_profile
from engine.spec.keys import every_path
from engine.spec.plain import plain_problems

bounded = settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

PATHS = [
    *every_path(),
    "extends",
    "sweep.model.lag",
    "cases.a",
    "controls.edu",
    "index.i",
    "panel.columns.gdp",
]
PATHS += ["sweep.panel", "cases.a.model", "controls.edu.sum", "index.i.entropy", "panel.options.seed"]

JOBS: list[dict[str, Any]] = [
    {
        "job": "small",
        "panel": {"source": "cities.csv"},
        "outcome": {"synchronization": "growth(gdp)"},
        "pairs": {"exclude": "both_treated", "gravity": {"mass": ["gdp"]}},
        "treatment": {"adoption": "pilot_year", "rule": "exactly_one"},
        "controls": {"edu": {"neg_abs_diff": "education"}},
        "inference": {"permutation": {"reps": 99}},
    },
    {
        "job": "trade",
        "pair_table": {"source": "t.csv", "unit_i": "a", "unit_j": "b", "year": "year"},
        "outcome": {"column": "y"},
        "model": {"regressors": ["x"]},
    },
]
PROFILES: list[dict[str, Any]] = [
    {"kind": "local", "workers": 2},
    {"kind": "slurm", "workers": 2, "memory": "4GB", "walltime": "01:00:00"},
    {"kind": "ssh", "hosts": ["a", "b"]},
    {"kind": "kubernetes", "workers": 2, "memory": "4GB", "image": "x"},
    {"kind": "scheduler", "address": "tcp://a:1"},
]
KEYS = [
    "kind",
    "workers",
    "workers.minimum",
    "threads",
    "memory",
    "walltime",
    "queue",
    "folder",
    "tls",
    "tls.ca",
    "hosts",
]
KEYS += [
    "wait",
    "gpus",
    "prologue",
    "directives",
    "driver",
    "driver.memory",
    "address",
    "file",
    "name",
    "node_selector",
]

awkward = st.sampled_from(
    [
        "",
        " ",
        "~",
        "~nobody/x",
        "a\0b",
        "\x1b[31m",
        "\n",
        "a/../b",
        "x" * 300,
        "x" * 5000,
        "年份",
        "\ufeff",
        "e\u0301",
        "`a`",
        "a b",
        "1e400",
        "lag(gdp)",
        "gdp ** 9999",
        "((((((",
        "pair",
        "city x year",
        "distance:3 x year",
        "province:4",
        "builtin:",
        "builtin:china_demo",
        "/dev/null",
        "policy",
        0,
        1,
        -1,
        3,
        2**31,
        2**63,
        -(2**64),
        10**400,
        1e308,
        0.5,
        True,
        False,
        None,
        [],
        {},
        [[]],
        [None],
        {"": None},
        {"a": {"b": {}}},
    ]
)
text = st.text(alphabet=st.characters(exclude_categories=()), max_size=12)
values = st.recursive(
    awkward | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(text | st.sampled_from(["source", "by", "rule"]), below, max_size=3)
    ),
    max_leaves=5,
)


def placed(data: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy with a value under a dotted key, whatever stood in its way."""
    out = copy.deepcopy(data)
    block, parts = out, key.split(".", 1) if key.startswith("sweep.") else key.split(".")
    for part in parts[:-1]:
        if not isinstance(block.get(part), dict):
            block[part] = {}
        block = block[part]
    block[parts[-1]] = value
    return out


def written(data: dict[str, Any], path: Path) -> Path:
    """The data as YAML; what YAML cannot hold is written as it can."""
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8", errors="replace")
    return path


def refusal(ask: Callable[[], Any]) -> str:
    """The message of an InputError; empty where the input is taken."""
    try:
        ask()
    except InputError as error:
        return str(error)
    return ""


@bounded
@given(base=st.sampled_from(JOBS), key=st.sampled_from(PATHS), value=values)
@example(base=JOBS[0], key="model.window", value=[-(10**9), 3])
@example(base=JOBS[0], key="extends", value="a\0b")
@example(base=JOBS[0], key="inference.permutation.strata", value=["coastal:" + "9" * 23])
@example(base=JOBS[1], key="model.controls", value=["x"])
def test_any_value_of_a_job(base: dict[str, Any], key: str, value: Any, tmp_path: Path) -> None:
    path = written(placed(base, key, value), tmp_path / "job.yaml")
    message = refusal(lambda: expand(load_job(path)))
    assert not message or message.startswith(str(path))
    assert len(message) < 6000


@bounded
@given(key=st.sampled_from(PATHS), value=values)
def test_any_value_of_the_command_line(key: str, value: Any, tmp_path: Path) -> None:
    path = written(JOBS[0], tmp_path / "job.yaml")
    override = f"{key}={yaml.safe_dump(value, default_flow_style=True)}"
    assert len(refusal(lambda: expand(load_job(path, overrides=[override])))) < 6000


@bounded
@given(base=st.sampled_from(PROFILES), key=st.sampled_from(KEYS), value=values)
@example(base=PROFILES[0], key="kind", value=["local"])
@example(base=PROFILES[1], key="folder", value="~nobody/x")
def test_any_value_of_a_profile(base: dict[str, Any], key: str, value: Any, tmp_path: Path) -> None:
    path = written(placed(base, key, value), tmp_path / "profile.yaml")
    message = refusal(lambda: load_profile(path))
    assert not message or message.startswith(str(path))


@pytest.mark.parametrize("kind", [["local"], {"local": 1}, 3, True, "x" * 5000, "\x1b"])
def test_a_kind_of_profile_that_is_no_text(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="kind: "):
        load_profile(written({"kind": kind, "workers": 1}, tmp_path / "p.yaml"))


@pytest.mark.parametrize("key", [1, 0.1, True])
def test_keys_from_python_are_text_too(key: object) -> None:
    """`recode: {x: {1: 2}}` ended in a TypeError; YAML refuses such keys by itself."""
    problems = dict(plain_problems({"recode": {"x": {key: 2}}}))
    assert problems == {("recode", "x", str(key)): f"the key {key!r} is not text; put the key in quotes"}
