"""The figures of style never get worse, and their counters count what they say, on snippets that a reader can count."""

from __future__ import annotations

import json
import sys

import bindings
import closed_sets
import count
import formulas
import import_circles
import pytest
import sizes
from engine_source import Module, functions, parse_module, read_engine

LIMITS = {
    "vague": 4.0,
    "one_letter": 4.04,
    "class_names": 0,
    "file_names": 4,
    "long_functions": 8,
    "parameters": 6,
    "largest_file": 400,
    "circles": 0,
    "aliases": 0,
    "any": 249,
    "design_checks": 5,
    "asserts": 10,
    "estimator_tests": 3,
    "what": 0,
    "new_estimator": 6,
    "new_error": 2,
    "new_outcome": 3,
    "new_output": 6,
    "dyadic": 1,
    "leave_out": 1,
    "factor": 1,
    "palette": 1,
    "error_names": 1,
    "readme": 200,
    "readme_zh": 200,
}
"""The most of each figure: what it is today, or its goal where that is reached. Only ever lower one."""


@pytest.fixture(scope="module")
def engine() -> list[Module]:
    return read_engine()


@pytest.mark.parametrize("figure", LIMITS)
def test_figure_is_within_its_limit(figure: str, engine: list[Module]) -> None:
    counted = count.FIGURES[figure].count(engine)
    assert counted.value <= LIMITS[figure], f"{count.FIGURES[figure].title}:\n{count.show_places(counted)}"


def test_every_figure_has_a_limit_but_information() -> None:
    assert set(count.FIGURES) - set(LIMITS) == {"untested"}
    assert set(LIMITS) <= set(count.FIGURES)


def test_limits_are_no_lower_than_goals() -> None:
    goals = {key: count.FIGURES[key].goal for key in LIMITS}
    assert [key for key, goal in goals.items() if goal is not None and LIMITS[key] < goal] == []


def snippet(text: str, path: str = "engine/room/snippet.py") -> Module:
    return parse_module(path, text)


def words(places: list) -> list[str]:
    return [place.word for place in places]


BINDINGS = """
out = 1
class Record:
    own: int
    def method(self, rows, *told, **given):
        kept: int = 1
        total = sum(one for one in rows)
        with open("a") as found, open("b") as (data, _):
            pass
        try:
            total += (more := 1)
        except OSError as what:
            pass
        match rows:
            case [left, *rest]:
                pass
        for setting, column in rows:
            rows.other = rows["wanted"] = lambda its: its
def uses(value):
    return one, found(own=value)
"""


def test_vague_words_are_counted_where_they_are_bound() -> None:
    """Once each, and neither in a module's constants, nor where a name is read, an attribute or a keyword."""
    expected = "own told given kept one found data more what left rest setting its"
    assert sorted(words(bindings.vague_bindings([snippet(BINDINGS)]))) == sorted(expected.split())


def test_share_of_bindings_leaves_out_self_and_underscore() -> None:
    module = snippet("def f(self, _, n, rows):\n    own, x = n, lambda i: i\n")
    assert sorted(words(bindings.bindings(module))) == ["i", "n", "own", "rows", "x"]
    assert sorted(words(bindings.one_letter_bindings([module]))) == ["i", "n", "x"]
    assert bindings.share_of_bindings(bindings.vague_bindings([module]), [module]) == pytest.approx(20)


def test_underscore_hides_no_vague_word() -> None:
    assert words(bindings.vague_bindings([snippet("class A:\n    _found: int\n")])) == ["_found"]


def long_function(body_lines: int) -> str:
    body = "\n".join(["    n = 1"] * body_lines)
    return f'@property\ndef f(\n    n,\n):\n    """Sum.\n\n    Long.\n    """\n{body}\n'


@pytest.mark.parametrize(("body_lines", "n_long"), [(37, 0), (38, 1)])
def test_function_is_measured_from_def_without_docstring(body_lines: int, n_long: int) -> None:
    assert len(sizes.long_functions([snippet(long_function(body_lines))])) == n_long


def test_parameters_without_self() -> None:
    seven = "class A:\n    def f(self, a, b, /, c, d, *e, f, **g): ...\n"
    eight = "def f(a, b, /, c, d, *e, f, g, **h): ...\n"
    module = snippet(seven + eight)
    assert [sizes.n_parameters(function) for function in functions(module)] == [8, 7]
    assert words(sizes.many_parameters([module])) == ["f has 8 parameters"]


def test_names_used_twice() -> None:
    modules = [
        snippet("class A: ...\nclass B: ...\n", "engine/cities/grid.py"),
        snippet("class A: ...\n", "engine/report/grid.py"),
        snippet("", "engine/cities/__init__.py"),
        snippet("", "engine/report/__init__.py"),
    ]
    assert list(sizes.class_names_twice(modules)) == ["A"]
    assert list(sizes.file_names_twice(modules)) == ["grid.py"]


def test_docstrings_that_open_with_what() -> None:
    module = snippet(
        '"""What it is."""\ndef f():\n    """Whatever."""\nclass A:\n    """What\n    is said."""\n'
    )
    assert words(sizes.docstrings_with_what([module])) == ["What it is.", "What"]


def test_any_and_asserts() -> None:
    module = snippet("from typing import Any\ndef f(a: list[Any]) -> Any:\n    assert a, 'Any'\n")
    assert len(sizes.uses_of_any([module])) == 3
    assert len(sizes.asserts([module])) == 1


def test_aliases_of_arrays() -> None:
    text = (
        "Array = np.ndarray[Any, np.dtype[np.float64]]\nFlags: TypeAlias = NDArray[np.bool_]\n"
        "Indices = tuple[Array, np.ndarray[Any, Any]]\nDevice = jax.Array\nNames = tuple[str, ...]\n"
        "ZEROS = np.zeros(3)\n"
    )
    counted = words(sizes.alias_definitions([snippet(text)]))
    assert [line.split(" ")[0].rstrip(":") for line in counted] == ["Array", "Flags", "Indices", "Device"]
    assert sizes.alias_definitions([snippet(text, sizes.ARRAYS)]) == []


def test_circle_through_a_function_and_a_relative_import() -> None:
    """Neither an import for type checkers nor one of a module that imports nothing closes a circle."""
    checked = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from engine.a import f\n"
    modules = [
        snippet("from engine.room import b\nimport engine.c\n", "engine/a.py"),
        snippet("def f():\n    from ..a import g\n    return g\n", "engine/room/b.py"),
        snippet(checked, "engine/c.py"),
        snippet("from . import b\n", "engine/room/__init__.py"),
    ]
    assert import_circles.import_circles(modules) == [("engine.a", "engine.room.b")]


def test_design_checks_see_unions_and_tuples() -> None:
    text = (
        "isinstance(x, (PanelDesign, Other))\nisinstance(x, PanelDesign | None)\nisinstance(x, pairs.TableDesign)\n"
        "isinstance(x, str)\nPanelDesign(x)\n"
    )
    assert [place.line for place in closed_sets.design_checks([snippet(text)])] == [1, 2, 3]


ESTIMATOR_TESTS = """
kind: Literal["twfe", "iv"] = "twfe"
if estimator == "iv" or estimator != "twfe": pass
if estimator in (
    "first_stage",
    "weights",
): pass
if "event_study" in cell: pass
MAKERS = {"iv": make_iv, "twfe": make_twfe}
LABELS = {"iv": "instrument", "twfe": "differences"}
frame = frames["event_study"]
match estimator:
    case "reduced_form": pass
if job.model.instrumented: pass
"""


def test_estimator_tests() -> None:
    places = closed_sets.estimator_tests([snippet(ESTIMATOR_TESTS)])
    assert [place.line for place in places] == [2, 3, 5, 8, 9, 13, 14]
    assert closed_sets.estimator_tests([snippet(ESTIMATOR_TESTS, "engine/estimate/estimators/iv.py")]) == []


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("key = 'outcome.variation'", True),
        ("from kernels import variation_of", True),
        ("job.variation", True),
        ("f(variation=1)", True),
        ("'''The variation.'''", False),
        ("raise ValueError('no variation is left')", False),
        ("variation = variations['covariation']", False),
    ],
)
def test_files_that_know(text: str, known: bool) -> None:
    assert bool(closed_sets.files_that_know([snippet(text)], "variation")) == known


def test_files_are_counted_once() -> None:
    modules = [snippet("a.variation\nb.variation\n", f"engine/{name}.py") for name in "ab"]
    assert len(closed_sets.files_that_know(modules, "variation")) == 2


def test_error_names_and_palettes() -> None:
    text = (
        "A = {'dyadic': 'dyadic-robust', 'pair': 'by pair'}\nB = {'dyadic': {'color': '#1B9E77'}, 'city': {}}\n"
        "C = {'dyadic': _dyadic, 'pair': _pair}\nD = {'dyadic': 'x'}\nE = '#fff'\nF = '# comment'\n"
    )
    assert [place.line for place in closed_sets.error_name_tables([snippet(text)])] == [1, 2]
    assert words(closed_sets.palettes([snippet(text)])) == ["#1B9E77"]
    assert closed_sets.palettes([snippet("F = '#comment'")]) == []


@pytest.mark.parametrize(
    "line",
    [
        "n / (n - 1)",
        "c * n / (n - 1)",
        "len(a) / (len(a) - 1)",
        "(fit.n - 1) / (fit.n - k)",
        "(n - 1) / (n - k - j)",
    ],
)
def test_small_sample_factor(line: str) -> None:
    assert len(formulas.small_sample_factors([snippet(line)])) == 1


@pytest.mark.parametrize(
    "line", ["n / (m - 1)", "n / (n - 2)", "(n - 1) / n", "(n - 1) / (m - k)", "n / n - 1"]
)
def test_no_small_sample_factor(line: str) -> None:
    assert formulas.small_sample_factors([snippet(line)]) == []


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("(n - 1) / n * (step.T @ step)", True),
        ("np.sqrt(dof / len(g) * (shift**2).sum())", True),
        ("(step.T @ step) * ((n - 1) / n)", True),
        ("n / (n - 1) * (step.T @ step)", False),
        ("(n - 1) / n * (first.T @ second)", False),
    ],
)
def test_leave_out_covariance(line: str, seen: bool) -> None:
    assert bool(formulas.leave_out_covariances([snippet(line)])) == seen


def test_dyadic_formula() -> None:
    text = "matrix = guard.guarded_covariances(city, own)\nreplaced = guarded_variances(node, squares)\n"
    assert len(formulas.dyadic_formulas([snippet(text)])) == 1
    assert formulas.dyadic_formulas([snippet(text, formulas.GUARD)]) == []


def test_script_prints_and_writes(capsys, monkeypatch, tmp_path) -> None:
    target = tmp_path / "figures.json"
    monkeypatch.setattr(count, "FIGURES", {key: count.FIGURES[key] for key in ("largest_file", "circles")})
    monkeypatch.setattr(sys, "argv", ["count.py", "--json", str(target)])
    count.main()
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[1:]] == ["largest_file", "circles"]
    largest = max(len(module.text.splitlines()) for module in read_engine())
    assert json.loads(target.read_text("utf-8"))["largest_file"] == {"value": largest, "goal": 400}
    monkeypatch.setattr(sys, "argv", ["count.py", "--list", "circles"])
    count.main()
    assert capsys.readouterr().out.count("<->") >= len(import_circles.import_circles(read_engine()))
