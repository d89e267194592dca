"""Job files that are wrong: the message names file, key or line, and what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from engine.spec import expand, load_job
from engine.spec import strict_yaml as yaml_reader

# What is added to the minimal job, and what the message must say.
ADDED = {
    "unknown key": (
        "model: {fixed_effect: [pair]}",
        "model.fixed_effect: unknown key 'fixed_effect', did you mean 'fixed_effects'?",
    ),
    "unknown block": ("modle: {}", "job.yaml: modle: unknown key 'modle', did you mean 'model'?"),
    "nothing near": ("pairs: {zzz: 1}", "unknown key 'zzz'; known here: exclude, gravity"),
    "wrong literal": (
        "pairs: {exclude: treated}",
        "job.yaml: pairs.exclude: must be 'both_treated' or 'none' (got 'treated')",
    ),
    "literal or number": (
        "pairs: {gravity: {mass: [a], year: median}}",
        "pairs.gravity.year: must be 'mean' or 'first' or a whole number (got 'median')",
    ),
    "quoted number": ("years: ['2010', 2019]", "years[0]: must be a whole number (got '2010')"),
    "half a year": ("years: [2010.5, 2019]", "years[0]: must be a whole number (got 2010.5)"),
    "one year": ("years: [2010]", "years[1]: is missing"),
    "three years": ("years: [2010, 2015, 2019]", "years: has 3 entries, the limit is 2"),
    "years descend": ("years: [2019, 2010]", "job.yaml: years [2019, 2010] must ascend"),
    "date for a year": ("years: [2010-01-01, 2019]", "years[0]: must be a whole number (got '2010-01-01')"),
    "not a list": ("model: {errors: pair}", "model.errors: must be a list, like [a, b] (got 'pair')"),
    "not a mapping": ("pairs: none", "pairs: must be a mapping, like {key: value} (got 'none')"),
    "unknown error kind": (
        "model: {errors: [hac]}",
        "model.errors[0]: must be 'pair', 'city', 'dyadic_cr2', 'dyadic' or 'jackknife' (got 'hac')",
    ),
    "error kind twice": ("model: {errors: [pair, pair]}", "model.errors: names 'pair' twice"),
    "control twice": ("model: {controls: [edu, edu]}", "model.controls: names 'edu' twice"),
    "no error kind": ("model: {errors: []}", "model.errors: must have at least 1 entry (got [])"),
    "unknown control": (
        "model: {controls: [roads]}",
        "names 'roads', which is not defined under controls (edu, tech)",
    ),
    "bad formula": (
        "pairs: {gravity: {mass: ['f(x)']}}",
        "pairs.gravity.mass[0]: 'f(x)' has no place in the expression 'f(x)'",
    ),
    "formula remedy": ("pairs: {gravity: {mass: ['f(x)']}}", "hint: allowed are + - * / **"),
    "bad name": ("index: {2 x: {entropy: [a, b]}}", "the name '2 x' must be a name of letters, digits and _"),
    "bad memory": (
        "runtime: {memory: lots}",
        "runtime.memory: must be an amount like 500MB or 2GB (got 'lots')",
    ),
    "confidence": ("model: {confidence: 95}", "model.confidence: must be less than 1 (got 95)"),
    "window descends": ("model: {estimator: event_study, window: [2, -3]}", "window [2, -3] must ascend"),
    "event window": ("model: {estimator: event_study, base: 7}", "base 7 lies outside the window [-5, 3]"),
    "panel and table": (
        "pair_table: {source: a, unit_i: i, unit_j: j, year: t}",
        "give either panel or pair_table",
    ),
    "sweep is no list": ("sweep: {model.base: 3}", "sweep.model.base: must be a list, like [a, b] (got 3)"),
    "key twice": ("title: a\ntitle: b", "job.yaml, line 8, column 1: the key 'title' is given twice"),
    "python tag": (
        "title: !!python/object/apply:os.system ['x']",
        "line 7, column 8: tag 'tag:yaml.org,2002:python/object/apply:os.system' is refused",
    ),
    "own tag": ("title: !secret x", "tag '!secret' is refused"),
    "anchor": ("title: &a x", "line 7, column 8: anchor '&a' is refused"),
    "alias": ("title: *gdp", "alias '*gdp' is refused"),
    "alias remedy": ("title: *gdp", "by 'extends'"),
    "norway": ("title: no", "line 7, column 8: 'no' means different things"),
    "norway as key": ("on: 1", "'on' means different things"),
    "octal": ("title: 010", "'010' means different things"),
    "not a number": ("title: .NaN", "'.NaN' means different things"),
    "infinite": ("model: {confidence: 1e999}", "the number 1e999 is too large"),
    "endless number": (f"title: {'1' * 5000}", "a number of 5000 digits"),
    "number as key": ("pairs: {2010: x}", "the key 2010 is not text"),
    "mapping as key": ("? {a: b}\n: c", "is not text"),
    "two documents": ("---\njob: other", "line 7, column 1: a second document"),
    "too deep": ("title: " + "[" * 30 + "]" * 30, "nested deeper than 20"),
    "open bracket": ("years: [2010, 2019", "line 7, column 8: not valid YAML"),
    "offending line": ("model: {a: b]", "    model: {a: b]"),
    "tab": ("model:\n\tbase: 1", "line 8, column 1: not valid YAML"),
    "backtick": ("title: `x`", "in quotes"),
    "control character": ("title: \x07", "cannot be read as text"),
    "extends nothing": ("extends: gone.yaml", "job.yaml: extends: there is no file"),
    "extends names both": ("extends: gone.yaml", "gone.yaml"),
    "extends a number": ("extends: 3", "must be a file name or a list of file names"),
}


@pytest.mark.parametrize("kind", ADDED)
def test_message(kind: str, write: Any, minimal: str) -> None:
    text, expected = ADDED[kind]
    path = write(minimal + text)
    with pytest.raises(InputError) as caught:
        load_job(path)
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(path))


# A whole file, and what the message must say.
WHOLE = {
    "empty": ("", "is empty, not a mapping"),
    "only comments": ("# job\n", "is empty, not a mapping"),
    "a list": ("- job: x", "is a list, not a mapping"),
    "nothing but a name": ("job: x", "outcome: is missing"),
    "null of what must be": ("{job: x, outcome: }", "outcome: is missing"),
    "no name": ("outcome: {column: y}", "job: is missing"),
    "bad job name": ("{job: a/b, outcome: {column: y}}", "job: must be a name of letters, digits and _ . -"),
    "row twice": (
        "{job: x, panel: {skip_rows: [2, 2]}, outcome: {synchronization: y}}",
        "names an entry twice",
    ),
    "neither rows nor their number": (
        "{job: x, panel: {source: a.csv, skip_rows: two}, outcome: {synchronization: y}}",
        "panel.skip_rows: must be a whole number or a list, like [a, b] (got 'two')",
    ),
    "one column for both units": (
        "{job: x, pair_table: {source: a.csv, unit_i: i, unit_j: i, year: t}, outcome: {column: y}}",
        "pair_table: 'i' is more than one of unit_i, unit_j and year",
    ),
    "two outcomes": (
        "{job: x, outcome: {column: y, synchronization: z}}",
        "outcome: give exactly one of synchronization",
    ),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_file(kind: str, write: Any) -> None:
    text, expected = WHOLE[kind]
    with pytest.raises(InputError, match=re.escape(expected)):
        load_job(write(text))


def test_all_problems_are_told_at_once(write: Any, minimal: str) -> None:
    path = write(minimal + "years: [a, 2019]\nmodel: {base: x, ends: bins}\nmodle: {}")
    with pytest.raises(InputError) as caught:
        load_job(path)
    assert str(caught.value).splitlines() == [
        f"{path}: 4 problems",
        f"  {path}: years[0]: must be a whole number (got 'a')",
        f"  {path}: model.base: must be a whole number (got 'x')",
        f"  {path}: model.ends: must be 'bin' or 'drop' (got 'bins')",
        f"  {path}: modle: unknown key 'modle', did you mean 'model'?",
        "  hint: `dyadid keys` lists every key with its values",
    ]


def test_the_file_that_wrote_the_key_is_named(write: Any, minimal: str) -> None:
    base = write(minimal + "model: {base: x}", "base.yaml")
    child = write("{job: c, extends: base.yaml, model: {ends: bins}}", "child.yaml")
    with pytest.raises(InputError) as caught:
        load_job(child)
    assert f"{base}: model.base: " in str(caught.value)
    assert f"{child}: model.ends: " in str(caught.value)


def test_the_name_is_not_inherited(write: Any, minimal: str) -> None:
    write(minimal, "base.yaml")
    with pytest.raises(InputError, match=r"child.yaml: job: is missing"):
        load_job(write("extends: base.yaml", "child.yaml"))


def test_a_circle_prints_the_chain(write: Any, minimal: str) -> None:
    first = write(minimal + "extends: sub/b.yaml", "a.yaml")
    second = write("extends: c.yaml", "sub/b.yaml")
    third = write("extends: ../a.yaml", "sub/c.yaml")
    with pytest.raises(InputError) as caught:
        load_job(first)
    assert f"in a circle: {first} -> {second} -> {third} -> {first}" in str(caught.value)
    with pytest.raises(InputError, match="in a circle"):
        load_job(write("extends: self.yaml", "self.yaml"))


def test_a_long_chain_is_refused(write: Any, minimal: str) -> None:
    write(minimal, "0.yaml")
    for number in range(1, 40):
        write(f"{{job: j, extends: {number - 1}.yaml}}", f"{number}.yaml")
    assert load_job(Path(write("{job: j, extends: 15.yaml}", "short.yaml"))).job.job == "j"
    with pytest.raises(InputError, match="too long a chain"):
        load_job(write("{job: j, extends: 39.yaml}", "long.yaml"))


def test_files_that_cannot_be_read(write: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_job(tmp_path / "gone.yaml")
    with pytest.raises(InputError, match="a folder, not a job file"):
        load_job(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("job: é".encode("gb18030"))
    with pytest.raises(InputError, match=r"byte 5 is not UTF-8"):
        load_job(latin)
    with pytest.raises(InputError, match="larger than 1,000,000 bytes"):
        load_job(write("#" * 1_000_001))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.contrls=[edu]", "--set model.contrls: unknown key 'contrls', did you mean 'controls'?"),
        ("modle.controls=[edu]", "unknown key 'modle', did you mean 'model'?"),
        ("model.base.x=1", "'model.base' is a value and holds no key 'x'"),
        ("model.base", "'model.base' is not of the form key=value"),
        ("=3", "is not of the form key=value"),
        ("model.base=[", "--set model.base, line 1, column 2: not valid YAML"),
        ("pair_table.directed=yes", "'yes' means different things"),
        ("model.base=soon", "--set: model.base: must be a whole number (got 'soon')"),
        ("extends=a.yaml", "unknown key 'extends'"),
    ],
)
def test_overrides(override: str, expected: str, write: Any, minimal: str) -> None:
    with pytest.raises(InputError, match=re.escape(expected)):
        load_job(write(minimal), overrides=[override])


SWEEPS = {
    "unknown key": (
        "sweep: {model.contrls: [[]]}",
        "sweep.model.contrls: unknown key 'contrls', did you mean 'controls'?",
    ),
    "below a value": ("sweep: {model.base.x: [1]}", "'model.base' is a value and holds no key 'x'"),
    "fixed key": ("sweep: {runtime.tile: [8, 16]}", "'runtime' is the same for all cells"),
    "sweep in sweep": ("sweep: {sweep.model.base: [[1]]}", "'sweep' is the same for all cells"),
    "no values": ("sweep: {model.base: []}", "sweep.model.base: has no values"),
    "bad value": (
        "sweep: {model.base: [-1, x]}",
        "job.yaml: cell 'model.base=x': model.base: must be a whole number (got 'x')",
    ),
    "bad cell": (
        "sweep: {model.controls: [[edu], [road]]}",
        "cell 'model.controls=road': model.controls names 'road'",
    ),
    "twins": (
        "sweep: {model.lag: [1, 2, 1]}",
        "cells 1 'model.lag=1' and 3 'model.lag=1' are the same regression",
    ),
    "twin default": (
        "sweep: {model.confidence: [null, 0.95]}",
        "cells 1 'model.confidence=default' and 2 'model.confidence=0.95' are the same",
    ),
    "too many": (
        f"sweep: {{model.base: {list(range(400))}, model.window: {[[-5, 3]] * 300}}}",
        "sweep: 120,000 cells, the limit is 100,000",
    ),
    "case key": ("cases: {a: {model.contrls: []}}", "cases.a.model.contrls: unknown key 'contrls'"),
    "nested case key": ("cases: {a: {model: {contrls: []}}}", "cases.a.model.contrls: unknown key 'contrls'"),
    "case twice": ("cases: {a: {model.base: -1, model: {base: -2}}}", "cases.a: 'model.base' is given twice"),
    "case title": ("cases: {a: {title: x}}", "'title' is the same for all cells"),
    "case and sweep": (
        "cases: {a: {model.base: -1}}\nsweep: {model.base: [-2]}",
        "is also set by the case 'a'",
    ),
    "twin cases": ("cases: {a: {}, b: {model: {lag: 0}}}", "cells 1 'a' and 2 'b' are the same regression"),
}


@pytest.mark.parametrize("kind", SWEEPS)
def test_sweep_message(kind: str, write: Any, minimal: str) -> None:
    text, expected = SWEEPS[kind]
    loaded = load_job(write(minimal + text))
    with pytest.raises(InputError) as caught:
        expand(loaded)
    assert expected in str(caught.value)


def test_the_slow_reader_refuses_the_same(monkeypatch: Any, write: Any, minimal: str, table_1: str) -> None:
    expected = load_job(write(table_1)).data
    monkeypatch.setattr(yaml_reader, "_LOADER", yaml_reader.yaml.SafeLoader)
    assert load_job(write(table_1)).data == expected
    for kind in ("python tag", "anchor", "alias", "key twice", "norway", "two documents", "too deep"):
        text, message = ADDED[kind]
        with pytest.raises(InputError, match=re.escape(message)):
            load_job(write(minimal + text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("job： x\npanel:\n  source: a\n", "write the half-width ':' for '：' in line 1"),
        ("job： x\n", "hint: write the half-width ':' for '：'"),
        (
            "job: x\npanel: {source：a.csv}\n",
            "line 2, column 9: the key 'source：a.csv' has no value\n  hint: write",
        ),
        ("job: x\nzz： 1\n", "write the half-width ':' for '：' in line 2"),
        ("job: x\npanel： {source: a}\n", "unknown key 'panel： {source'"),
        ("job: x\npanel: ｛source: a｝\n", "write the half-width '{' for '｛', '}' for '｝' in line 2"),
        ("job: x\nyears: ［2010，2012］\n", "write the half-width ',' for '，', '[' for '［', ']' for '］'"),
        ("job: x\npanel: {a： 1: 2}\n", "unknown key 'a： 1'"),
    ],
)
def test_full_width_signs_of_a_job_file_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(message)):
        load_job(path)


def test_full_width_signs_in_texts_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text('job: x\ntitle: "一，二"  # 三：四\npanel: [\n', encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_job(path)
    assert "half-width" not in str(caught.value)
