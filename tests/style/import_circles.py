"""Circles among the modules of `engine`: imports inside functions count, those for type checkers alone do not."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from engine_source import Module


def import_circles(modules: Sequence[Module]) -> list[tuple[str, ...]]:
    """Sets of modules that import one another, directly or round a circle."""
    graph = import_graph(modules)
    reach = {name: _reachable(graph, name) for name in graph}
    circles = {
        tuple(sorted({name} | {there for there in reach[name] if name in reach[there]}))
        for name in graph
        if name in reach[name]
    }
    return sorted(circles)


def import_graph(modules: Sequence[Module]) -> dict[str, set[str]]:
    """Modules that each module imports.

    ``from package import name`` is an import of the module ``package.name`` where there is one, and of the package
    otherwise; that a package is run before its modules is not counted.
    """
    names = {module.name for module in modules}
    return {
        module.name: {target for target in _imported(module.tree, module, names) if target != module.name}
        for module in modules
    }


def _imported(node: ast.AST, module: Module, names: set[str]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.orelse:
                yield from _imported(statement, module, names)
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names if alias.name in names)
        elif isinstance(child, ast.ImportFrom):
            source = _absolute(child, module)
            for alias in child.names:
                submodule = f"{source}.{alias.name}"
                if submodule in names:
                    yield submodule
                elif source in names:
                    yield source
        yield from _imported(child, module, names)


def _absolute(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    ascent = node.level - module.is_package
    package = module.name.split(".")[: -ascent or None]
    return ".".join([*package, *([node.module] if node.module else [])])


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    reached: set[str] = set()
    ahead = [*graph[start]]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += graph[name]
    return reached
