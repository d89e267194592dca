"""Files that know a member of a closed set: estimators, standard-error types, outcomes, outputs, designs.

All are proxies for one question: how many files of `engine` must change for a new member? A member that exists
stands for the new one, and each file that spells its name is one that a newcomer would have to open.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from engine_source import Function, Module, Place, first_of_files, first_of_lines, string_constants

ESTIMATORS = frozenset(
    (
        "twfe",
        "event_study",
        "iv",
        "first_stage",
        "reduced_form",
        "sun_abraham",
    )  # `sun_abraham`: the proof to come
)
ESTIMATOR_FILES = "engine/estimate/estimators/"
ERROR_TYPES = frozenset(("pair", "city", "dyadic", "jackknife"))
DESIGNS = frozenset(("PanelDesign", "TableDesign", "CityData", "PairData", "PairTable", "CityPanel"))
ESTIMATOR_PROPERTIES = frozenset(("instrumented",))
"""Attributes of a job that are a set of estimators under another name."""


def estimator_tests(modules: Iterable[Module]) -> list[Place]:
    """Lines outside `estimate/estimators/` that ask which estimator a job has.

    Counted are comparisons, memberships and patterns with an estimator's name, lists of two or more names
    (``Literal``, tuples, sets, tables keyed by them) and uses of `ESTIMATOR_PROPERTIES`. A dictionary of words for
    readers, from strings to strings, tests nothing.
    """
    return first_of_lines(
        module.place(node, ast.unparse(node)[:80])
        for module in modules
        if not module.path.startswith(ESTIMATOR_FILES)
        for node in _tests(module.tree)
    )


def _tests(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            if any(_is_estimator(side) for side in (node.left, *node.comparators)):
                yield node
            yield from (name for side in node.comparators for name in _names_in(side))
        elif isinstance(node, ast.MatchValue) and _is_estimator(node.value):
            yield node
        elif isinstance(node, ast.Tuple | ast.List | ast.Set):
            names = list(_names_in(node))
            yield from names if len(names) > 1 else ()
        elif isinstance(node, ast.Dict) and not all(_is_string(value) for value in node.values):
            keys = [key for key in node.keys if key is not None and _is_estimator(key)]
            yield from keys if len(keys) > 1 else ()
        elif isinstance(node, ast.Attribute) and node.attr in ESTIMATOR_PROPERTIES:
            yield node


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_estimator(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in ESTIMATORS


def _names_in(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        yield from (element for element in node.elts if _is_estimator(element))


def design_checks(modules: Iterable[Module]) -> list[Place]:
    """Calls of ``isinstance`` whose classes include a panel or a table; unions and tuples too."""
    return [
        module.place(node, ast.unparse(node))
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "isinstance"
        and len(node.args) == 2
        and {ast.unparse(part).rsplit(".", 1)[-1] for part in ast.walk(node.args[1])
             if isinstance(part, ast.Name | ast.Attribute)} & DESIGNS
    ]  # fmt: skip


def files_that_know(modules: Iterable[Module], *words: str) -> list[Place]:
    """Files whose code names a member of a closed set, a place each.

    A word is known where a string constant is it or has it as a part between dots (``outcome.variation``,
    ``variation.parquet``), or where a definition, import, attribute or keyword has it among the parts that
    underscores separate (``event_study_figure``). Prose, messages and local variables do not count.
    """
    patterns = [re.compile(rf"(^|[._]){re.escape(word)}([._]|$)") for word in words]
    return first_of_files(
        module.place(node, name)
        for module in modules
        for node, name in _identifiers(module)
        if any(pattern.search(name) for pattern in patterns)
    )


def _identifiers(module: Module) -> Iterator[tuple[ast.AST, str]]:
    for constant in string_constants(module):
        if re.fullmatch(r"[\w.]+", constant.value):
            yield constant, constant.value
    for node in ast.walk(module.tree):
        if isinstance(node, Function | ast.ClassDef | ast.alias):
            yield node, node.name
        elif isinstance(node, ast.Attribute):
            yield node, node.attr
        elif isinstance(node, ast.keyword | ast.arg) and node.arg:
            yield node, node.arg


def error_name_tables(modules: Iterable[Module]) -> list[Place]:
    """Dictionaries keyed by ``dyadic`` and another standard-error type, whose values are words or looks.

    A table whose values are functions, classes or numbers is no table of names. A catalogue of translations is none
    either: its keys are English words for readers, among which ``dyadic`` alone does not stand.
    """
    return [
        module.place(node, ast.unparse(node)[:80])
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Dict)
        and len(keys := {key.value for key in node.keys if _is_string(key)} & ERROR_TYPES) > 1
        and "dyadic" in keys
        and all(
            _is_string(value) or isinstance(value, ast.Dict | ast.Tuple | ast.Call) for value in node.values
        )
    ]


def palettes(modules: Iterable[Module]) -> list[Place]:
    """Files that spell a colour in hexadecimal."""
    return first_of_files(
        module.place(constant, constant.value)
        for module in modules
        for constant in string_constants(module)
        if re.fullmatch(r"#(?:[0-9a-fA-F]{3}){1,2}", constant.value)
    )
