"""Job files that are right: what they mean, alone and upon each other."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.spec import find_jobs, load_job
from engine.spec.keys import merge
from engine.spec.strict_yaml import parse_yaml

trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=12,
)
mappings = st.dictionaries(st.sampled_from("abcd"), trees, max_size=4)


def test_table_1_loads_as_it_stands(write: Any, table_1: str) -> None:
    loaded = load_job(write(table_1))
    job = loaded.job
    assert (job.job, job.years) == ("table1_baseline", (2010, 2019))
    assert list(job.controls) == ["edu", "tech", "second", "fd", "innov"]
    assert job.panel is not None
    assert job.panel.source == "builtin:china_demo"
    assert job.pairs.gravity is not None
    assert job.pairs.gravity.mass == ["population", "gdp_real", "land_area", "admin_rank"]
    assert [len(value) for value in job.sweep["model.controls"]] == [0, 1, 2, 3, 4, 5]


def test_pair_table_loads_as_it_stands(write: Any, pair_table: str) -> None:
    path = write(pair_table)
    table = load_job(path).job.pair_table
    assert table is not None
    assert table.source == str(path.parent / "trade.parquet")
    assert (table.unit_i, table.unit_j, table.directed) == ("exporter", "importer", False)


def test_extends_merges_mappings_and_replaces_the_rest(write: Any, table_1: str) -> None:
    write(table_1, "base.yaml")
    child = write(
        """
        job: child
        extends: base.yaml
        outcome: {window: pre}
        controls: {fd: null, roads: {neg_abs_diff: road_density}}
        model: {errors: [dyadic]}
        pairs: {gravity: null}
        sweep: {}
        """,
        "child.yaml",
    )
    job = load_job(child).job
    assert (job.job, job.title) == ("child", "Table 1. Baseline regression")
    assert (job.outcome.synchronization, job.outcome.window) == ("development", "pre")
    assert list(job.controls) == ["edu", "tech", "second", "innov", "roads"]
    assert job.model.errors == ["dyadic"]
    assert (job.pairs.exclude, job.pairs.gravity, job.sweep) == ("both_treated", None, {})


def test_extends_a_list_the_later_file_lies_above(write: Any, minimal: str) -> None:
    write(minimal, "base.yaml")
    write("model: {confidence: 0.9, errors: [pair]}", "one.yaml")
    write("model: {confidence: 0.8}", "two.yaml")
    job = load_job(write("{job: c, extends: [base.yaml, one.yaml, two.yaml]}", "child.yaml")).job
    assert (job.model.confidence, job.model.errors) == (0.8, ["pair"])


def test_two_ways_to_one_base_are_no_circle(write: Any, minimal: str) -> None:
    write(minimal, "base.yaml")
    write("{extends: base.yaml, years: [2010, 2019]}", "left.yaml")
    write("{extends: base.yaml, model: {base: -2}}", "right.yaml")
    loaded = load_job(write("{job: c, extends: [left.yaml, right.yaml]}", "child.yaml"))
    assert (loaded.job.years, loaded.job.model.base) == ((2010, 2019), -2)
    assert set(loaded.hashes) == {"base.yaml", "left.yaml", "right.yaml", "child.yaml"}


def test_source_is_relative_to_the_file_that_writes_it(write: Any, minimal: str, tmp_path: Path) -> None:
    write(minimal, "shared/base.yaml")
    inherits = load_job(write("{job: a, extends: ../shared/base.yaml}", "jobs/a.yaml"))
    assert inherits.job.panel is not None
    assert inherits.job.panel.source == str(tmp_path / "shared" / "cities.csv")
    own = load_job(
        write(
            "{job: b, extends: ../shared/base.yaml, panel: {source: own.csv}, sweep: {panel.source: [x.csv]},"
            " cases: {one: {panel: {source: ../y.csv}}, two: {panel.source: 'builtin:euro'}}}",
            "jobs/b.yaml",
        )
    )
    assert own.job.panel is not None
    assert own.job.panel.source == str(tmp_path / "jobs" / "own.csv")
    assert own.job.sweep["panel.source"] == [str(tmp_path / "jobs" / "x.csv")]
    assert own.job.cases["one"] == {"panel": {"source": str(tmp_path / "y.csv")}}
    assert own.job.cases["two"] == {"panel.source": "builtin:euro"}
    assert own.sources[str(tmp_path / "y.csv")] == "../y.csv"


def test_hashes_are_of_the_bytes_of_every_file(write: Any, minimal: str) -> None:
    base = write(minimal, "shared/base.yaml")
    child = write("{job: a, extends: ../shared/base.yaml}", "jobs/a.yaml")
    expected = {"../shared/base.yaml": base, "a.yaml": child}
    found = load_job(child).hashes
    assert found == {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in expected.items()}


def test_overrides_come_last_and_are_yaml(write: Any, minimal: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path.parent)
    (tmp_path.parent / "here.csv").touch()
    path = write(minimal + "title: written\nyears: [2010, 2019]\n")
    job = load_job(
        path,
        overrides=[
            "model.controls=[edu, tech]",
            "pairs.gravity={mass: [gdp]}",
            "pairs.gravity.year = 2012",
            "controls.roads.neg_abs_diff=roads",
            "years=null",
            "title=a=b",
            "panel.source=here.csv",
        ],
    ).job
    assert job.model.controls == ["edu", "tech"]
    assert job.pairs.gravity is not None
    assert (job.pairs.gravity.mass, job.pairs.gravity.year) == (["gdp"], 2012)
    assert job.controls["roads"].formula == "roads"
    assert (job.years, job.title) == (None, "a=b")
    assert job.panel is not None
    assert job.panel.source == str(tmp_path.parent / "here.csv")


def test_an_override_fixes_a_swept_key(write: Any, table_1: str) -> None:
    path = write(table_1 + "  outcome.window: [full, pre]\n")
    job = load_job(path, overrides=["model.controls=[edu]"]).job
    assert (job.model.controls, list(job.sweep)) == (["edu"], ["outcome.window"])
    assert load_job(path, overrides=["sweep={}"]).job.sweep == {}
    chosen = load_job(path, overrides=["sweep.model.controls=[[], [tech]]"]).job.sweep
    assert chosen == {"model.controls": [[], ["tech"]], "outcome.window": ["full", "pre"]}


def test_find_jobs(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "sub/c.yaml", ".hidden/d.yaml", ".e.yaml", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    inside = [tmp_path / name for name in ("a.yml", "b.yaml", "sub/c.yaml")]
    assert find_jobs([tmp_path]) == inside
    assert find_jobs([tmp_path / "b.yaml", tmp_path]) == [inside[1], inside[0], inside[2]]
    with pytest.raises(InputError, match="no job file"):
        find_jobs([tmp_path / ".hidden", tmp_path / "sub", *_empty(tmp_path)])
    with pytest.raises(InputError, match="no such file or folder"):
        find_jobs([tmp_path / "absent"])
    with pytest.raises(InputError, match="no job file is named"):
        find_jobs([])


def _empty(folder: Path) -> list[Path]:
    (folder / "empty").mkdir()
    return [folder / "empty"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2010-01-01", "2010-01-01"),
        ("12:30:00", "12:30:00"),
        ("1e-6", 1e-6),
        ("-.5", -0.5),
        ("+7", 7),
        ("0.1", 0.1),
        ("1_000", "1_000"),
        ("'no'", "no"),
        ("'010'", "010"),
        ("True", True),
        ("~", None),
        ("''", ""),
        ("gdp * 1e8", "gdp * 1e8"),
        ("人均GDP", "人均GDP"),
        ("[a, {b: []}]", ["a", {"b": []}]),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    assert parse_yaml(f"key: {text}", where="here") == {"key": value}


@given(st.dictionaries(st.text("ab:#'\" \n[]{}é中", max_size=5), trees, max_size=4))
def test_json_is_read_as_what_it_says(data: dict[str, Any]) -> None:
    assert parse_yaml(json.dumps(data, ensure_ascii=False), where="here") == data


@given(mappings, mappings)
def test_merge_keeps_one_rule(base: dict[str, Any], over: dict[str, Any]) -> None:
    before = json.dumps([base, over])
    merged = merge(base, over)
    assert json.dumps([base, over]) == before
    assert merge(base, {}) == base
    assert merge({}, over) == over
    for key in base.keys() | over.keys():
        if key not in over:
            assert merged[key] == base[key]
        elif over[key] is None and key in base:
            assert key not in merged
        elif over[key] and isinstance(over[key], dict) and isinstance(base.get(key), dict):
            assert merged[key] == merge(base[key], over[key])
        else:
            assert merged[key] == over[key]


def test_loading_imports_neither_jax_nor_pandas(write: Any, table_1: str) -> None:
    script = (
        "import sys, pathlib, engine.spec as s\n"
        "s.expand(s.load_job(pathlib.Path(sys.argv[1]))); s.schema()\n"
        "print([m for m in ('jax', 'pandas', 'dask', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(write(table_1))], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
