"""Arithmetic on columns, against Python's own of the same text."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.tables.arithmetic import FUNCTIONS, parse

COLUMNS = {
    "x": np.array([[1.5, -2.0, 3.0, 0.25]]),
    "y_1": np.array([[0.5, 4.0, -1.0, 2.0]]),
    "产值": np.array([[7.0, 3.0, 1.0, -5.0]]),
    "классы": np.array([[2.0, 2.5, 3.5, 4.5]]),
}
numbers = st.one_of(
    st.integers(0, 99).map(str), st.sampled_from(["0.5", ".25", "3.", "1e3", "2E-2", "1.5e+1"])
)
leaves = st.one_of(numbers, st.sampled_from(list(COLUMNS)))
blanks = st.sampled_from(["", " ", "  "])


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, blanks, st.sampled_from("+-*/"), blanks, inner).map("".join),
        st.tuples(inner, blanks, st.just("**"), blanks, inner).map("".join),
        st.tuples(st.sampled_from("+-"), blanks, inner).map("".join),
        st.tuples(st.just("("), inner, st.just(")")).map("".join),
        st.tuples(st.sampled_from(["abs", "exp", "sqrt", "log"]), st.just("("), inner, st.just(")")).map(
            "".join
        ),
    )


class Floats(ast.NodeTransformer):
    """Constants as float64 and powers as numpy's, so that Python divides by zero and rounds as numpy does."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.parse(f"np.float64({node.value!r})", mode="eval").body

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Pow):
            return node
        return ast.Call(ast.parse("np.power", mode="eval").body, [node.left, node.right], [])


def python_value(text: str) -> np.ndarray:
    """The text as Python reads it, on float64 scalars and arrays."""
    tree = ast.fix_missing_locations(Floats().visit(ast.parse(text.strip(), mode="eval")))
    space = {**COLUMNS, "np": np, **{name: getattr(np, name) for name in ("abs", "exp", "sqrt", "log")}}
    with np.errstate(all="ignore"):
        return np.asarray(eval(compile(tree, "formula", "eval"), {"__builtins__": {}}, space))


@settings(max_examples=400, deadline=None)
@given(text=st.recursive(leaves, compound, max_leaves=12))
def test_values_are_those_of_python(text: str) -> None:
    value = parse(text).evaluate(COLUMNS)
    np.testing.assert_array_equal(value, python_value(text))


@given(text=st.text(alphabet="xyz019 .+-*/()`#,'\"\\\n\x00eE_产（＋logaf", max_size=30))
def test_any_text_is_an_expression_or_an_input_error(text: str) -> None:
    try:
        expression = parse(text)
    except InputError as error:
        refused = error
    else:
        refused = None
        expression.evaluate(dict.fromkeys(expression.names, COLUMNS["x"]))
    assert refused is None or refused.remedy


def test_powers_bind_tighter_than_signs_and_to_the_right() -> None:
    x = COLUMNS["x"]
    np.testing.assert_array_equal(parse("-x**2").evaluate(COLUMNS), -(x**2))
    np.testing.assert_array_equal(parse("2**3**2").evaluate({}), 512.0)
    np.testing.assert_array_equal(parse("2**-1").evaluate({}), 0.5)
    np.testing.assert_array_equal(parse("8/4/2 - 1 - 1").evaluate({}), -1.0)


@pytest.mark.parametrize(
    "name",
    [
        "Ａ股",
        "ＧＤＰ",
        "ﬁnance",
        "class",
        "None",
        "True",
        "lambda",
        "log",
        "é",
        "e\u0301",
        "हिन्दी",
        "_1",
        "Ｇ２",
    ],
)
def test_a_name_stays_as_it_is_written(name: str) -> None:
    expression = parse(f" {name} ")
    assert expression.names == (name,)
    assert expression.is_name
    assert parse(f"`{name}`/2").names == (name,)


def test_full_width_and_plain_names_are_two_columns() -> None:
    value = parse("ＧＤＰ - GDP").evaluate({"ＧＤＰ": np.array([5.0]), "GDP": np.array([2.0])})
    np.testing.assert_array_equal(value, [3.0])


@pytest.mark.parametrize(
    "text", ["x", "lag(x)", "lag(x) + lag(diff(`lag(z`))", "growth(lag(diff(x)))", "2*log(x)"]
)
def test_reach_is_how_far_back_a_change_is_felt(text: str) -> None:
    expression = parse(text)
    steady = {name: np.linspace(1.0, 2.0, 8) ** 2 for name in expression.names}
    felt = 0
    for name in expression.names:
        shaken = steady[name].copy()
        shaken[3] += 0.5
        moved = expression.evaluate({**steady, name: shaken}) != expression.evaluate(steady)
        moved &= np.isfinite(expression.evaluate(steady))
        felt = max([felt, *(int(year) - 3 for year in np.flatnonzero(moved))])
    assert expression.reach == felt


REFUSED = {
    "gdp # ** 2": "'#' has no place in the expression",
    "detrend(1)": "detrend() in the expression 'detrend(1)' is of a number",
    "lag(2 * 3)": "lag() in the expression",
    "growth(1)": "growth() in the expression",
    "gdp * 1"
    + "0" * 400: "the number 1000000000000000000000000000000000000000... of the expression is too large",
    "1e999": "the number 1e999 of the expression is too large",
    "1e-999": "the number 1e-999 of the expression is too small",
    "(" * 200 + "x" + ")" * 200: "nested deeper than",
    "-" * 200 + "x": "nested deeper than",
    "+".join("x" * 200): "has more than 100 parts",
    "x" * 501: "expression of 501 characters, the limit is 500",
    "": "the expression is empty",
    " \n": "the expression is empty",
    "x +": "ends after '+'",
    "x y": "'y' after 'x' has no place",
    "x // y": "'//' after 'x' has no place",
    "x ** ** y": "'**' after '**'",
    "x % y": "'%' has no place",
    "x == y": "'=' has no place",
    "x if y else z": "'if' after 'x'",
    "x, y": "',' has no place",
    "log(x, y)": "',' has no place",
    "log()": "')' after '('",
    "eval(x)": "'eval(x)' has no place",
    "`log`(x)": "'`log`(x)' has no place",
    "x.real": "'.' has no place",
    "x[0]": "'[' has no place",
    "'x'": "''' has no place",
    "1_000": "'1_000' has no place",
    "0x10": "'0x10' has no place",
    "2gdp": "'2gdp' has no place",
    "（x）": "'（' has no place",
    "x × y": "'×' has no place",
    "`x": "'`x' has no place",
    "``": "'``' has no place",
    "(x": "a bracket of the expression '(x' is not closed",
    "x)": "')' after 'x'",
    "x\x00": "the character U+0000 has no place",
    "x\u200b": "the character U+200B has no place",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:40])
def test_what_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert REFUSED[text] in caught.value.problem
    assert "\x00" not in str(caught.value)


def test_look_alikes_are_told_what_to_write() -> None:
    with pytest.raises(InputError, match=r"hint: write \*\*?$"):
        parse("x × y")


def test_every_function_is_called_by_name() -> None:
    for name in FUNCTIONS:
        assert parse(f"{name}(x)").evaluate(COLUMNS).shape == (1, 4)
