"""The source of `engine` as syntax trees, read and never imported, and the places that a figure counts in it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """One file.

    Attributes
    ----------
    path : str
        From the root of the repository, with slashes: ``engine/pairs/design.py``.
    text : str
    tree : ast.Module
    """

    path: str
    text: str
    tree: ast.Module = field(repr=False)

    @property
    def name(self) -> str:
        """Dotted name, as an import writes it."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_package(self) -> bool:
        return self.path.endswith("__init__.py")

    def place(self, node: ast.AST, word: str) -> Place:
        return Place(self.path, getattr(node, "lineno", 1), word)


@dataclass(frozen=True, order=True)
class Place:
    """A line of the source, and the word that is counted there."""

    path: str
    line: int
    word: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word}"


def parse_module(path: str, text: str) -> Module:
    return Module(path, text, ast.parse(text))


def read_engine(root: Path = ROOT) -> list[Module]:
    """Every file of ``engine/``, in the order of the paths."""
    return [
        parse_module(path.relative_to(root).as_posix(), path.read_text("utf-8"))
        for path in sorted((root / "engine").rglob("*.py"))
    ]


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(module: Module) -> Iterator[Function]:
    """Functions and methods, nested ones too."""
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            yield node


def docstring_nodes(module: Module) -> Iterator[tuple[ast.AST, ast.stmt]]:
    """Module, classes and functions that have a docstring, each with the statement that holds it."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function) and ast.get_docstring(node) is not None:
            yield node, node.body[0]


def string_constants(module: Module) -> Iterator[ast.Constant]:
    """String constants of the code; docstrings are not among them."""
    prose = {id(statement.value) for _, statement in docstring_nodes(module)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node


def first_of_lines(places: Iterable[Place]) -> list[Place]:
    """One place a line."""
    by_line: dict[tuple[str, int], Place] = {}
    for place in sorted(places):
        by_line.setdefault((place.path, place.line), place)
    return list(by_line.values())


def first_of_files(places: Iterable[Place]) -> list[Place]:
    """One place a file."""
    by_file: dict[str, Place] = {}
    for place in sorted(places):
        by_file.setdefault(place.path, place)
    return list(by_file.values())
