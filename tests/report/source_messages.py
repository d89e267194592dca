"""Reads from the source, without running it, which messages its errors may have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

RAISED = ("InputError", "RunError", "TableProblem")
Bindings = Mapping[str, list[ast.expr]]


def messages(source: Path) -> Iterator[tuple[str, str]]:
    """Problems and remedies, their places numbered, each with where in the source it stands.

    A message is read where an error is made: from literals, names that the module or the function gives literals, and,
    where the error is made of the parameters of a function, from all calls of that function in its module.
    """
    for path in sorted(source.rglob("*.py")):
        code = path.read_text(encoding="utf-8")
        if any(name in code for name in RAISED):
            for line, text in _of_module(ast.parse(code)):
                if re.search("[A-Za-z]{2}", re.sub(r"\{\d+\}", "", text)):
                    yield f"{path.relative_to(source)}:{line}", text


def _of_module(module: ast.Module) -> Iterator[tuple[int, str]]:
    constants = _assigned(module.body)
    calls: list[tuple[ast.Call, ast.FunctionDef | None]] = list(_calls(module, None))
    local: dict[ast.FunctionDef | None, Bindings] = {None: constants}
    for _, function in calls:
        if function not in local:
            local[function] = {**constants, **(_assigned(ast.walk(function)) if function else {})}
    for call, maker in calls:
        if _called(call) in RAISED:
            parts = _parts(call)
            for line, names in [(call.lineno, local[maker]), *_bindings(maker, parts, calls, local)]:
                for part in parts:
                    yield from ((line, numbered(literals)) for literals in texts(part, names))


def _calls(
    node: ast.AST, function: ast.FunctionDef | None
) -> Iterator[tuple[ast.Call, ast.FunctionDef | None]]:
    """The calls of a module, each with the function that it stands in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, function
        yield from _calls(child, child if isinstance(child, ast.FunctionDef) else function)


def _bindings(
    maker: ast.FunctionDef | None,
    parts: list[ast.expr],
    calls: list[tuple[ast.Call, ast.FunctionDef | None]],
    local: Mapping[ast.FunctionDef | None, Bindings],
) -> Iterator[tuple[int, Bindings]]:
    """The parameters of a function that makes errors, bound to the arguments of each of its calls."""
    if maker is None:
        return
    positional = [argument.arg for argument in (*maker.args.posonlyargs, *maker.args.args)]
    parameters = positional[positional[:1] == ["self"] :]
    read = {node.id for part in parts for node in ast.walk(part) if isinstance(node, ast.Name)}
    if read & {*parameters, *(argument.arg for argument in maker.args.kwonlyargs)}:
        for call, caller in calls:
            if _called(call) == maker.name:
                arguments = {
                    **dict(zip(parameters, call.args, strict=False)),
                    **{keyword.arg: keyword.value for keyword in call.keywords if keyword.arg},
                }
                bound = {name: _resolved(argument, local[caller]) for name, argument in arguments.items()}
                yield call.lineno, {**local[maker], **local[caller], **bound}


def _resolved(argument: ast.expr, local: Bindings) -> list[ast.expr]:
    return local.get(argument.id, [argument]) if isinstance(argument, ast.Name) else [argument]


def _called(call: ast.Call) -> str:
    """The name of a function or of a method."""
    function = call.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _parts(call: ast.Call) -> list[ast.expr]:
    return [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "remedy")]


def _assigned(nodes: Iterable[ast.AST]) -> dict[str, list[ast.expr]]:
    """Texts that names are given, also by loops over literal tuples."""
    values: dict[str, list[ast.expr]] = {}
    for target, value in _assignments(list(nodes)):
        for name, of_name in _matched(target, value):
            if isinstance(of_name, ast.Constant | ast.JoinedStr | ast.IfExp | ast.BinOp):
                values.setdefault(name, []).append(of_name)
    return values


def _assignments(nodes: list[ast.AST]) -> Iterator[tuple[ast.expr, ast.expr]]:
    tuples: dict[str, ast.Tuple] = {}
    for node in nodes:
        pairs: list[tuple[ast.expr, ast.expr]] = []
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            pairs = [(node.target, node.value)]
        for target, value in pairs:
            yield target, value
            if isinstance(target, ast.Name) and isinstance(value, ast.Tuple):
                tuples[target.id] = value
    for node in nodes:
        if isinstance(node, ast.For):
            rows: ast.expr | None = tuples.get(node.iter.id) if isinstance(node.iter, ast.Name) else node.iter
            for row in rows.elts if isinstance(rows, ast.Tuple) else []:
                yield node.target, row


def _matched(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """The names of an assignment, each with its value, where the source has one for each."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for part, part_value in zip(target.elts, value.elts, strict=False):
            yield from _matched(part, part_value)


def texts(node: ast.expr, names: Bindings) -> list[list[str]]:
    """Texts that an expression may have, each as the literals between its places; none where it is no literal.

    What a function adds behind a message (further rows, say) has forms of its own, and counts as absent.
    """
    if isinstance(node, ast.Constant):
        return [[node.value]] if isinstance(node.value, str) else []
    if isinstance(node, ast.IfExp):
        return texts(node.body, names) + texts(node.orelse, names)
    if isinstance(node, ast.Name):
        further = {name: values for name, values in names.items() if name != node.id}
        return [text for value in names.get(node.id, []) for text in texts(value, further)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _joined(texts(node.left, names), texts(node.right, names) or [[""]])
    if not isinstance(node, ast.JoinedStr):
        return []
    variants = [[""]]
    for part in node.values:
        value = part.value if isinstance(part, ast.FormattedValue) else part
        variants = _joined(variants, texts(value, names) or [["", ""]])
    return variants


def _joined(heads: list[list[str]], tails: list[list[str]]) -> list[list[str]]:
    return [[*head[:-1], head[-1] + tail[0], *tail[1:]] for head in heads for tail in tails]


def numbered(literals: list[str]) -> str:
    """The text with its places numbered."""
    return literals[0] + "".join(f"{{{place}}}{literal}" for place, literal in enumerate(literals[1:]))
