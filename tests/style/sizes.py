"""Lengths of functions, files and documents; names used twice; docstrings; types that say nothing."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable

from engine_source import ROOT, Module, Place, docstring_nodes, functions

LONGEST_FUNCTION = 40
MOST_PARAMETERS = 7


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the last, blank ones too, without the docstring and the decorators."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node) is not None:
        docstring = node.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def long_functions(modules: Iterable[Module]) -> list[Place]:
    """Functions over 40 lines."""
    return [
        module.place(node, f"{node.name} has {function_lines(node)} lines")
        for module in modules
        for node in functions(module)
        if function_lines(node) > LONGEST_FUNCTION
    ]


def n_parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Number of parameters, ``*args`` and ``**kwargs`` as one each, without ``self`` and ``cls``."""
    arguments = node.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    names += [a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return sum(name not in ("self", "cls") for name in names)


def many_parameters(modules: Iterable[Module]) -> list[Place]:
    """Functions over 7 parameters."""
    return [
        module.place(node, f"{node.name} has {n_parameters(node)} parameters")
        for module in modules
        for node in functions(module)
        if n_parameters(node) > MOST_PARAMETERS
    ]


def largest_files(modules: Iterable[Module]) -> list[Place]:
    """Every file with its lines, the largest first."""
    lines = {module.path: len(module.text.splitlines()) for module in modules}
    return [
        Place(path, n, f"{n} lines")
        for path, n in sorted(lines.items(), key=lambda entry: (-entry[1], entry[0]))
    ]


def class_names_twice(modules: Iterable[Module]) -> dict[str, list[Place]]:
    """Names that two classes have, each with its classes."""
    classes: dict[str, list[Place]] = defaultdict(list)
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(module.place(node, node.name))
    return {name: places for name, places in sorted(classes.items()) if len(places) > 1}


def file_names_twice(modules: Iterable[Module]) -> dict[str, list[Place]]:
    """Names that two files have; ``__init__.py`` is not counted."""
    files: dict[str, list[Place]] = defaultdict(list)
    for module in modules:
        if not module.is_package:
            files[module.path.rsplit("/", 1)[-1]].append(
                Place(module.path, 1, module.path.rsplit("/", 1)[-1])
            )
    return {name: places for name, places in sorted(files.items()) if len(places) > 1}


def docstrings_with_what(modules: Iterable[Module]) -> list[Place]:
    """Docstrings of modules, classes and functions whose first word is "What"."""
    return [
        module.place(statement, ast.get_docstring(node).splitlines()[0])
        for module in modules
        for node, statement in docstring_nodes(module)
        if ast.get_docstring(node).split()[:1] == ["What"]
    ]


def asserts(modules: Iterable[Module]) -> list[Place]:
    return [
        module.place(node, ast.unparse(node))
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assert)
    ]


def uses_of_any(modules: Iterable[Module]) -> list[Place]:
    """Each ``Any`` of the code, the imports of it too."""
    return [
        module.place(node, "Any")
        for module in modules
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Name) and node.id == "Any")
        or (isinstance(node, ast.alias) and node.name == "Any")
    ]


ARRAYS = "engine/arrays.py"


def alias_definitions(modules: Iterable[Module]) -> list[Place]:
    """Names that a module gives to a type of array, outside `engine/arrays.py`."""
    return [
        module.place(node, ast.unparse(node))
        for module in modules
        if module.path != ARRAYS
        for node in module.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and node.value is not None
        and _is_array_type(node.value)
    ]


def _is_array_type(node: ast.expr) -> bool:
    """True for ``np.ndarray[...]``, ``NDArray[...]``, a tuple type of them, or the bare class of JAX."""
    heads = [part.value for part in ast.walk(node) if isinstance(part, ast.Subscript)] or [node]
    names = {ast.unparse(head).rsplit(".", 1)[-1] for head in heads}
    return isinstance(node, ast.Subscript | ast.Attribute) and bool(
        names & {"ndarray", "NDArray"} or ast.unparse(node) == "jax.Array"
    )


def document_lines(name: str) -> int:
    return len((ROOT / name).read_text("utf-8").splitlines())


def modules_without_tests(modules: Iterable[Module]) -> list[Place]:
    """Modules ``engine/a/b.py`` without ``tests/a/test_b.py``; information, since one test may be of many."""
    places = []
    for module in modules:
        room, _, name = module.path.removeprefix("engine/").rpartition("/")
        expected = f"tests/{room}/test_{name}" if room else f"tests/test_{name}"
        if not module.is_package and not (ROOT / expected).exists():
            places.append(Place(module.path, 1, f"no {expected}"))
    return places
