"""Names that code binds, the vague ones and those of one letter.

A binding is a place where a function, lambda or comprehension binds a name (assignment, ``for``, ``with``,
``except``, walrus, pattern), a parameter, or a field of a class. Constants of a module are not counted: they have
names of their own style. Neither are ``self``, ``cls`` and ``_``, which are no choice of the author. A leading
underscore is not part of a word.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from engine_source import Function, Module, Place
from vague_words import VAGUE

NO_CHOICE = frozenset(("self", "cls", "_"))


def bindings(module: Module) -> Iterator[Place]:
    """Each binding of a module, with its name."""
    for node, name in _bound(module.tree, in_module=True):
        if name not in NO_CHOICE:
            yield module.place(node, name)


def _bound(node: ast.AST, *, in_module: bool) -> Iterator[tuple[ast.AST, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.arg):
            yield child, child.arg
        elif not in_module and (name := _name_bound(child)):
            yield child, name
        opens_scope = isinstance(child, Function | ast.ClassDef | ast.Lambda | ast.comprehension)
        yield from _bound(child, in_module=in_module and not opens_scope)


def _name_bound(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return node.name
    return None


def vague_bindings(modules: Iterable[Module]) -> list[Place]:
    return [place for module in modules for place in bindings(module) if place.word.lstrip("_") in VAGUE]


def one_letter_bindings(modules: Iterable[Module]) -> list[Place]:
    return [place for module in modules for place in bindings(module) if len(place.word.lstrip("_")) == 1]


def share_of_bindings(places: list[Place], modules: Iterable[Module]) -> float:
    """Percent."""
    total = sum(1 for module in modules for _ in bindings(module))
    return 100 * len(places) / total if total else 0.0
