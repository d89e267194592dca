"""Every size that a key can set has a limit that is told, and nothing that is no ordinary text gets past the schema."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.errors import InputError
from engine.job_runs import found_jobs
from engine.spec import expand, find_jobs, load_job
from engine.spec.cluster import load_profile

EVENTS = "pairs: {exclude: both_treated}\nmodel: {estimator: event_study, "
MANY = {f"c{k}": {"neg_abs_diff": "science"} for k in range(201)}

# What is added to the minimal job, and what the message must say.
TOO_LARGE = {
    "window": (EVENTS + "window: [-1000000000, 3]}", "model.window[0]: must be greater than or equal to -100"),
    "window end": (EVENTS + "window: [-3, 101]}", "model.window[1]: must be less than or equal to 100"),
    "base": (EVENTS + "base: -101}", "model.base: must be greater than or equal to -100"),
    "lag": ("model: {lag: 1000000}", "model.lag: must be less than or equal to 10"),
    "reps": ("inference: {bootstrap: {reps: 100000000}}", "reps: must be less than or equal to 10000000"),
    "digits": (f"inference: {{bootstrap: {{seed: 1{'0' * 400}}}}}", "a whole number of 401 digits; the limit is 2^64"),
    "seed": (f"inference: {{bootstrap: {{seed: {2**64}}}}}", "seed: a whole number of 20 digits"),
    "years": (f"years: [2010, 1{'0' * 400}]", "years[1]: a whole number of 401 digits"),
    "year": ("years: [2010, 20190]", "years[1]: must be less than or equal to 9999"),
    "gravity year": ("pairs: {gravity: {mass: [a], year: 123456}}", "less than or equal to 9999"),
    "stratum": ("inference: {permutation: {strata: ['a:100000000']}}", "k classes from 2 to 1,000"),
    "stratum of 23 digits": (f"inference: {{permutation: {{strata: ['a:{'9' * 23}']}}}}", "k classes from 2 to 1,000"),
    "stratum of one": ("inference: {permutation: {strata: ['a:1']}}", "k classes from 2 to 1,000"),
    "stratum of nothing": ("inference: {permutation: {strata: [':3']}}", "must be a column, or column:k"),
    "distance": (f"model: {{fixed_effects: [pair, 'distance:{'9' * 5000} x year']}}", "has 5,016 characters"),
    "distance classes": ("model: {fixed_effects: [pair, 'distance:1001 x year']}", "classes from 2 to 1,000"),
    "long text": (f"title: {'x' * 5000}", "title: has 5,000 characters, the limit is 4,096"),
    "long title": (f"title: {'x' * 501}", "title: String should have at most 500 characters"),
    "long key": (f"{'x' * 5000}: 1", "not valid YAML"),
    "long key in full": (f"? {'x' * 5000}\n: 1", "the key has 5,000 characters"),
    "long unknown key": (f"{'x' * 900}: 1", "unknown key 'xxx"),
    "around": ("treatment: {adoption: p, rule: either, around: 101}", "around: must be less than or equal to 100"),
    "memory": (f"runtime: {{memory: {'9' * 400}GB}}", "runtime.memory: must be an amount like 500MB or 2GB"),
    "many options": (f"model: {{regressors: {[f'x{k}' for k in range(201)]}}}", "has 201 entries, the limit is 200"),
    "NUL": ('panel: {source: "a\\0.csv"}', "panel.source: holds the control character U+0000"),
    "NUL in encoding": ('panel: {source: a.csv, encoding: "utf-8\\0"}', "panel.encoding: holds the control character"),
    "escape": ('title: "\\e[31mred"', "title: holds the control character U+001B"),
    "line break": ('title: "one\\ntwo"', "title: holds a line break"),
    "line break in a block": ("title: |\n  one\n  two", "title: holds a line break"),
    "escape in a key": ('controls: {"a\\e": {sum: gdp}}', "controls.aU+001B: the key holds the control character"),
    "escape in a case": ('cases: {"a\\e[2J": {}}', "holds the control character U+001B"),
    "escape in a sweep": ('sweep: {model.controls: [["\\e"]]}', "sweep.model.controls[0][0]: holds the control"),
    "text backwards": ('title: "\\u202Etxt"', "holds the control character U+202E"),
    "empty source": ("panel: {source: ''}", "panel.source: the path is empty"),
    "long file name": (f"panel: {{source: {'x' * 300}}}", "a name in the path has 300 bytes, the limit is 255"),
    "extends twice": ("extends: [a.yaml, a.yaml]", "extends: names a file twice"),
    "NUL in extends": ('extends: "a\\0.yaml"', "extends: the path holds a control character"),
    "long extends": (f"extends: {'x' * 300}", "extends: a name in the path has 300 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_limits(kind: str, write: Any, minimal: str) -> None:
    text, expected = TOO_LARGE[kind]
    base = "\n".join(
        line for line in minimal.splitlines() if line.partition(":")[0] not in re.findall(r"(?m)^\w+", text)
    )
    path = write(f"{base}\n{text}\n")
    start = time.perf_counter()
    with pytest.raises(InputError) as caught:
        expand(load_job(path))
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 1000
    assert "\x1b" not in str(caught.value)
    assert "\0" not in str(caught.value)
    assert time.perf_counter() - start < 2


def test_too_many_controls(write: Any, minimal: str) -> None:
    job = yaml.safe_load(minimal)
    with pytest.raises(InputError, match=r"controls: has (more|201) entries, the limit is 200"):
        load_job(write(yaml.safe_dump(job | {"controls": MANY})))
    load_job(write(yaml.safe_dump(job | {"controls": dict(list(MANY.items())[:200])})))


def test_too_many_draws_of_all_cells(write: Any, minimal: str) -> None:
    text = minimal + "inference: {permutation: {reps: 9000000}}\nsweep: {model.lag: [0, 1, 2]}"
    with pytest.raises(InputError, match=r"27,000,000 draws of all cells and terms, the limit is 20,000,000"):
        expand(load_job(write(text)))
    expand(load_job(write(text.replace(", 1, 2", ", 1"))))


LISTS = {
    "errors": "model: {errors: [pair, pair]}",
    "controls": "model: {controls: [edu, edu]}",
    "fixed_effects": "model: {fixed_effects: [pair, year, 'pair']}",
    "columns": "panel: {source: a.csv, deflate: {columns: [x, x], base_year: 2010, price_index: p}}",
    "fill": "panel: {source: a.csv, fill: {max_gap: 1, columns: [x, x]}}",
    "join": "panel: {source: a.csv, join: [{source: b.csv}, {source: b.csv}]}",
    "entropy": "index: {wealth: {entropy: [a, b, a]}}",
    "negative": "index: {wealth: {entropy: [a, b], negative: [a, a]}}",
    "mass": "pairs: {gravity: {mass: [a, a]}}",
    "covariates": "matching: {unit: pair, covariates: [edu, edu]}",
    "strata": "inference: {permutation: {strata: [p, p]}}",
    "terms": "inference: {permutation: {terms: [policy, policy]}}",
}  # fmt: skip
EMPTY = {
    "errors": ("model: {errors: []}", False),
    "controls": ("model: {controls: []}", True),
    "fixed_effects": ("model: {fixed_effects: []}", False),
    "columns": ("panel: {source: a.csv, deflate: {columns: [], base_year: 2010, price_index: p}}", False),
    "fill": ("panel: {source: a.csv, fill: {max_gap: 1, columns: []}}", True),
    "join": ("panel: {source: a.csv, join: []}", True),
    "entropy": ("index: {wealth: {entropy: []}}", False),
    "negative": ("index: {wealth: {entropy: [a, b], negative: []}}", True),
    "mass": ("pairs: {gravity: {mass: []}}", False),
    "strata": ("inference: {permutation: {strata: []}}", True),
    "terms": ("inference: {permutation: {terms: []}}", False),
    "covariates": ("matching: {unit: pair, covariates: []}", False),
}


def added(minimal: str, text: str) -> str:
    return "\n".join(
        [
            *(
                line
                for line in minimal.splitlines()
                if not text.startswith(line.partition(":")[0] + ":") or not line
            ),
            text,
        ]
    )


@pytest.mark.parametrize("kind", LISTS)
def test_no_list_names_anything_twice(kind: str, write: Any, minimal: str) -> None:
    with pytest.raises(InputError, match="twice"):
        load_job(write(added(minimal, LISTS[kind])))


@pytest.mark.parametrize("kind", EMPTY)
def test_an_empty_list_means_none_or_is_refused(kind: str, write: Any, minimal: str) -> None:
    text, accepted = EMPTY[kind]
    path = write(added(minimal, text))
    if accepted:
        load_job(path)
    else:
        with pytest.raises(InputError, match=r"at least|must hold|needs controls"):
            load_job(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("report.html", "is a file that runs write beside the folders of jobs"),
        ("Report.HTML", "is a file that runs write beside the folders of jobs"),
        ("tables.docx", "is a file that runs write beside the folders of jobs"),
        (".dyadid", "must be a name of letters"),
        ("..", "must be a name of letters"),
        ("a.", "ends with a dot"),
        ("CON", "a device on Windows"),
        ("nul.txt", "a device on Windows"),
        ("lpt1", "a device on Windows"),
        ("a b", "must be a name of letters"),
        ("a\\b", "must be a name of letters"),
        ("x" * 81, "at most 80 characters"),
    ],
)
def test_names_that_no_folder_can_have(name: str, expected: str, write: Any, minimal: str) -> None:
    with pytest.raises(InputError, match=expected):
        load_job(write(minimal.replace("job: small", f"job: '{name}'")))


def test_two_jobs_of_one_command_with_one_name(write: Any, minimal: str) -> None:
    for first, second in (("small", "small"), ("small", "Small"), ("caf\u00e9", "cafe\u0301")):
        paths = [
            write(minimal.replace("job: small", f"job: {name}"), f"{k}.yaml")
            for k, name in enumerate((first, second))
        ]
        with pytest.raises(InputError, match="would write into one folder"):
            found_jobs(paths, None)


def test_null_sets_nothing(write: Any, minimal: str) -> None:
    text = (
        minimal
        + "model:\npairs: {gravity: null, exclude: null}\nyears: null\ninference: {permutation: null}\nindex: null\n"
    )
    assert load_job(write(text)).job == load_job(write(minimal)).job.model_copy()
    child = write("{job: small, extends: job.yaml, matching: null, controls: {nothing: null}}", "child.yaml")
    write(minimal)
    assert load_job(child).job == load_job(write(minimal)).job
    loaded = load_job(write(minimal), overrides=["model.window=null", "matching.unit=null"])
    assert loaded.job.matching is None


def test_a_source_of_the_command_line_is_relative_to_the_working_folder(
    write: Any, minimal: str, tmp_path: Path, monkeypatch: Any
) -> None:
    path = write(minimal, "deep/job.yaml")
    write("", "deep/other.csv")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="relative to the working folder") as caught:
        load_job(path, overrides=["panel.source=other.csv"])
    assert str(tmp_path) in str(caught.value.remedy)
    load_job(path, overrides=["panel.source=deep/other.csv"])


def test_links_that_lead_back_to_themselves(write: Any, minimal: str, tmp_path: Path) -> None:
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    for ask in (
        lambda: load_job(write(minimal + "extends: loop.yaml")),
        lambda: load_job(loop),
        lambda: find_jobs([loop]),
    ):
        with pytest.raises(InputError, match=r"loop\.yaml"):
            ask()


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "x/" * 3000])
def test_paths_that_no_file_can_have(name: str) -> None:
    for ask in (load_job, load_profile, lambda path: find_jobs([path])):
        with pytest.raises(InputError):
            ask(Path(name))


NO_JOBS = [
    b"\xff\xfej\0o\0b\0",
    "job: x".encode("utf-16-le"),
    b"\x89PNG\r\n\x1a\n\0\0",
    b"\0" * 100,
    b"job: \xc3\x28",
    b"[" * 100_000,
    b"{a: " * 50_000,
    b"&a " * 1000,
    b'"\\ud800": 1',
    b"? " * 10_000,
    b"%YAML 9.9\n---\njob: x",
    b"a: !!binary |\n x",
]


@pytest.mark.parametrize("raw", NO_JOBS)
def test_files_that_are_no_job(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(raw)
    for read in (load_job, load_profile):
        with pytest.raises(InputError) as caught:
            read(path)
        assert len(str(caught.value)) < 1500


def test_a_byte_order_mark_is_no_fault(minimal: str, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + minimal.encode())
    assert load_job(path).job.job == "small"
