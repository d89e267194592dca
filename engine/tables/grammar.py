"""The grammar of arithmetic on columns: from the text of a formula to a tree.

Signs bind as in written mathematics: ``**`` binds tighter than a sign before it and groups to the right,
then come ``* /``, then ``+ -``::

    sum     = product { ("+" | "-") product }
    product = signed { ("*" | "/") signed }
    signed  = ("+" | "-") signed | power
    power   = atom [ "**" signed ]
    atom    = number | name | "`" any text "`" | function "(" sum ")" | "(" sum ")"

A name is letters, digits and ``_`` of any script and does not begin with a digit. It is never rewritten: a
full-width ``ＧＤＰ`` is another name than ``GDP``, because a table may have both.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from engine.errors import InputError

MAX_LENGTH, MAX_PARTS, MAX_DEPTH = 500, 100, 40

_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_OPERATOR = re.compile(r"\*\*|//|[-+*/()]")
_LOOKALIKES = str.maketrans("＋－−–×∗＊÷／（）", "+---***//()")
_DIVIDE = "divide it: a column that panel.columns defines can be read by another"
_SHOWN = 40


@dataclass(frozen=True)
class Number:
    """A finite constant."""

    value: float


@dataclass(frozen=True)
class Column:
    """A column, by its name."""

    name: str


@dataclass(frozen=True)
class Sign:
    """``+`` or ``-`` before an operand."""

    operator: str
    operand: Node


@dataclass(frozen=True)
class Operation:
    """``+ - * /`` or ``**`` between two operands."""

    operator: str
    left_operand: Node
    right_operand: Node


@dataclass(frozen=True)
class Call:
    """A function of one argument."""

    function: str
    argument: Node


Node = Number | Column | Sign | Operation | Call


@dataclass(frozen=True)
class Token:
    """A piece of a formula: its kind (``number``, ``name``, ``quoted``, ``operator``, ``end``), text and place."""

    kind: str
    text: str
    start: int
    stop: int


def parse_tree(text: str, *, functions: Collection[str], over_time: Collection[str]) -> Node:
    """The tree of a formula.

    Parameters
    ----------
    text : str
        The formula.
    functions : collection of str
        Functions there are.
    over_time : collection of str
        Those of them that compare years, whose argument must therefore hold a column.

    Raises
    ------
    InputError
        Naming the part that cannot be read, or the limit that is exceeded.
    """
    if len(text) > MAX_LENGTH:
        raise InputError(f"expression of {len(text)} characters, the limit is {MAX_LENGTH}", remedy=_DIVIDE)
    return _Parser(text, functions, over_time).tree()


def columns_of(node: Node) -> list[str]:
    """Columns below a node in order of appearance, with repetitions."""
    match node:
        case Column(name):
            return [name]
        case Sign(_, operand):
            return columns_of(operand)
        case Operation(_, left_operand, right_operand):
            return [*columns_of(left_operand), *columns_of(right_operand)]
        case Call(_, argument):
            return columns_of(argument)
    return []


def _tokens(text: str, fail: _Parser) -> list[Token]:
    tokens, place = [], 0
    while place < len(text):
        character = text[place]
        if character.isspace():
            place += 1
            continue
        if character == "`":
            token, place = _quoted(text, place, fail)
        elif match := _NUMBER.match(text, place):
            token, place = Token("number", match[0], place, match.end()), match.end()
            glued = _name_at(text, place)
            if glued:
                raise fail.error(f"'{token.text}{glued}'", "put a name that begins with a digit in backticks")
        elif name := _name_at(text, place):
            token, place = Token("name", name, place, place + len(name)), place + len(name)
        elif match := _OPERATOR.match(text, place):
            token, place = Token("operator", match[0], place, match.end()), match.end()
        else:
            raise fail.unknown(character)
        tokens.append(token)
    return [*tokens, Token("end", "", place, place)]


def _quoted(text: str, place: int, fail: _Parser) -> tuple[Token, int]:
    closing = text.find("`", place + 1)
    if closing < 0:
        raise fail.error(f"'{text[place : place + _SHOWN]}'", "close the backtick")
    if closing == place + 1:
        raise fail.error("'``'", "name a column between the backticks")
    return Token("quoted", text[place + 1 : closing], place, closing + 1), closing + 1


def _name_at(text: str, place: int) -> str:
    """The name that begins at a place, "" where none does."""
    end = place
    while end < len(text) and _in_name(text[end], first=end == place):
        end += 1
    return text[place:end]


def _in_name(character: str, *, first: bool) -> bool:
    """Letters and ``_``; after the first also digits and marks, which belong to the letter before them."""
    if character == "_" or character.isalpha():
        return True
    return not first and (character.isalnum() or unicodedata.category(character) in ("Mn", "Mc"))


class _Parser:
    """Recursive descent, one method a rule of the grammar."""

    def __init__(self, text: str, functions: Collection[str], over_time: Collection[str]) -> None:
        self.text, self.functions, self.over_time = text, functions, over_time
        self.tokens = _tokens(text, self)
        self.position = self.depth = self.parts = 0

    def tree(self) -> Node:
        if self.ahead.kind == "end":
            raise InputError("the expression is empty", remedy=self.allowed)
        node = self.sum()
        if self.ahead.kind != "end":
            raise self.misplaced()
        return node

    @property
    def ahead(self) -> Token:
        return self.tokens[self.position]

    @property
    def allowed(self) -> str:
        calls = ", ".join(f"{name}()" for name in self.functions)
        quoted = 'a header with blanks or brackets goes into backticks, in quotes: "`GDP real`"'
        return f"allowed are + - * / **, brackets, numbers, column names and {calls}; {quoted}"

    def error(self, part: str, remedy: str | None = None) -> InputError:
        return InputError(
            f"{part} has no place in the expression '{_short(self.text)}'", remedy=remedy or self.allowed
        )

    def unknown(self, character: str) -> InputError:
        plain = character.translate(_LOOKALIKES)
        if plain != character:
            return self.error(f"'{character}'", f"write {plain}")
        if character.isalnum():
            return self.error(f"'{character}'", "put a name that begins with a digit in backticks")
        if not character.isprintable():
            return self.error(f"the character U+{ord(character):04X}", "remove it")
        return self.error(f"'{character}'", f"put a name with '{character}' in backticks; {self.allowed}")

    def misplaced(self) -> InputError:
        """The token ahead cannot stand here."""
        text_before = self.tokens[self.position - 1].text if self.position else ""
        if self.ahead.kind == "end":
            return InputError(
                f"the expression '{_short(self.text)}' ends after '{text_before}', where an operand is missing",
                remedy=self.allowed,
            )
        place = f" after '{_short(text_before)}'" if text_before else ""
        return self.error(f"'{_short(self.ahead.text)}'{place}")

    def take(self, *operators: str) -> str | None:
        """The operator ahead, where it is one of these."""
        if self.ahead.kind != "operator" or self.ahead.text not in operators:
            return None
        self.position += 1
        return self.tokens[self.position - 1].text

    def count(self, node: Node) -> Node:
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise InputError(
                f"the expression '{_short(self.text)}' has more than {MAX_PARTS} parts", remedy=_DIVIDE
            )
        return node

    def sum(self) -> Node:
        node = self.product()
        while operator := self.take("+", "-"):
            node = self.count(Operation(operator, node, self.product()))
        return node

    def product(self) -> Node:
        node = self.signed()
        while operator := self.take("*", "/"):
            node = self.count(Operation(operator, node, self.signed()))
        return node

    def signed(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise InputError(
                f"the expression '{_short(self.text)}' is nested deeper than {MAX_DEPTH} levels",
                remedy=_DIVIDE,
            )
        operator = self.take("+", "-")
        node = self.count(Sign(operator, self.signed())) if operator else self.power()
        self.depth -= 1
        return node

    def power(self) -> Node:
        node = self.atom()
        if self.take("**"):
            node = self.count(Operation("**", node, self.signed()))
        return node

    def atom(self) -> Node:
        token = self.ahead
        if self.take("("):
            return self.closed(self.sum())
        if token.kind == "number":
            self.position += 1
            return self.count(Number(self.value(token.text)))
        if token.kind not in ("name", "quoted"):
            raise self.misplaced()
        self.position += 1
        return self.call(token) if self.take("(") else self.count(Column(token.text))

    def call(self, token: Token) -> Node:
        argument = self.closed(self.sum())
        if token.kind != "name" or token.text not in self.functions:
            raise self.error(f"'{_short(self.text[token.start : self.tokens[self.position - 1].stop])}'")
        if token.text in self.over_time and not columns_of(argument):
            raise InputError(
                f"{token.text}() in the expression '{_short(self.text)}' is of a number, which has no years",
                remedy=f"write a column into {token.text}()",
            )
        return self.count(Call(token.text, argument))

    def closed(self, node: Node) -> Node:
        if not self.take(")"):
            if self.ahead.kind == "end":
                raise InputError(
                    f"a bracket of the expression '{_short(self.text)}' is not closed", remedy="write )"
                )
            raise self.misplaced()
        return node

    def value(self, digits: str) -> float:
        value = float(digits)
        mantissa = re.split("[eE]", digits)[0]
        if math.isinf(value) or (value == 0 and mantissa.strip("0.")):
            size = "large" if value else "small"
            raise InputError(
                f"the number {_short(digits)} of the expression is too {size}",
                remedy="numbers reach from 1e-307 to 1e308",
            )
        return value


def _short(text: str) -> str:
    shortened = text if len(text) <= 3 * _SHOWN else f"{text[:_SHOWN]}..."
    return "".join(character if character.isprintable() else "?" for character in shortened)
