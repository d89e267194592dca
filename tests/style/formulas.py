"""Files that spell a formula of inference; each of them should stand once.

A formula is known by a pattern of its syntax, so another way of writing it goes unseen. The patterns were chosen
such that they see the formulas of the tree where the count was first committed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from engine_source import Module, Place, first_of_files

GUARD = "engine/infer/guard.py"


def dyadic_formulas(modules: Iterable[Module]) -> list[Place]:
    """Files that call a guard of `infer/guard.py`: city sums minus what they count twice, never negative."""
    return first_of_files(
        module.place(node, ast.unparse(node)[:80])
        for module in modules
        if module.path != GUARD
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rsplit(".", 1)[-1].startswith("guarded_")
    )


def leave_out_covariances(modules: Iterable[Module]) -> list[Place]:
    """Files with a ratio, ``(n - 1) / n`` or a degree of freedom over a count, times a sum of squared steps.

    The squares are ``step.T @ step`` or ``(step**2).sum()``.
    """
    return first_of_files(
        module.place(node, ast.unparse(node)[:80])
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mult)
        and any(
            _is_leave_out_ratio(ratio) and _is_sum_of_squares(squares)
            for ratio, squares in ((node.left, node.right), (node.right, node.left))
        )
    )


def _is_leave_out_ratio(node: ast.expr) -> bool:
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)):
        return False
    counted = isinstance(node.left, ast.Name) and node.left.id in ("dof", "degrees_of_freedom")
    return counted or _is_one_less(node.left, node.right)


def _is_sum_of_squares(node: ast.expr) -> bool:
    for part in ast.walk(node):
        if isinstance(part, ast.BinOp) and isinstance(part.op, ast.MatMult):
            transposed = part.left
            if isinstance(transposed, ast.Attribute) and transposed.attr == "T":
                return _same(transposed.value, part.right)
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "sum":
            base = part.func.value
            if isinstance(base, ast.BinOp) and isinstance(base.op, ast.Pow):
                return True
    return False


def small_sample_factors(modules: Iterable[Module]) -> list[Place]:
    """Files with ``n / (n - 1)``, ``c * n / (n - 1)`` or ``(n - 1) / (n - K)``."""
    return first_of_files(
        module.place(node, ast.unparse(node)[:80])
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _is_factor(node.left, node.right)
    )


def _is_factor(numerator: ast.expr, denominator: ast.expr) -> bool:
    last = numerator
    if isinstance(numerator, ast.BinOp) and isinstance(numerator.op, ast.Mult):
        last = numerator.right
    if _is_one_less(denominator, last):
        return True
    reduced = denominator
    while isinstance(reduced, ast.BinOp) and isinstance(reduced.op, ast.Sub):
        reduced = reduced.left
        if _is_one_less(numerator, reduced):
            return True
    return False


def _is_one_less(node: ast.expr, whole: ast.expr) -> bool:
    """True for ``whole - 1``."""
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Sub)
        and isinstance(node.right, ast.Constant)
        and node.right.value == 1
        and _same(node.left, whole)
    )


def _same(node: ast.expr, twin: ast.expr) -> bool:
    return ast.dump(node) == ast.dump(twin)
