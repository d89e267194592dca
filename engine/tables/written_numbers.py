"""Numbers as people write them: ``1,234.5``, ``1 234,5``, ``12%`` and full-width digits, each in both conventions.

With a decimal point ``1,234`` is 1234, with a decimal comma it is 1.234. Which of the two a text shows is a fact of
the text (`WrittenNumber.shows`); which of them holds for a column is decided in `engine.tables.number_columns`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from engine.tables.missing import half_width

DecimalSign = Literal["point", "comma"]

PLAIN_NUMBER = re.compile(r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|inf(inity)?)", re.IGNORECASE)
_DOTTED = re.compile(r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}")
_BLANKS = " \u00a0\u2009\u202f"
_GROUPED = r"([1-9][0-9]{{0,2}}(?P<mark>[{marks}])[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*)"
_POINT = re.compile(rf"[+-]?{_GROUPED.format(marks=f',{_BLANKS}’' + chr(39))}(\.[0-9]*)?")
_COMMA = re.compile(
    rf"[+-]?([0-9]+|{_GROUPED.format(marks=f'.{_BLANKS}’' + chr(39))})(,[0-9]+)?(e[+-]?[0-9]+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class WrittenNumber:
    """A text as a number.

    Attributes
    ----------
    point, comma : float or None
        Its value with a decimal point, and with a decimal comma; None where it is no number so.
    point_grouped, comma_grouped : bool
        Whether it then has separators of thousands.
    percent : bool
        Whether a percent sign ends it; the values are shares then: ``12%`` is 0.12.
    """

    point: float | None
    comma: float | None
    point_grouped: bool = False
    comma_grouped: bool = False
    percent: bool = False

    @property
    def shows(self) -> DecimalSign | Literal["either", "open"]:
        """The convention that alone makes it a number; ``either`` where both give one value, ``open`` where two."""
        if self.comma is None:
            return "point"
        if self.point is None:
            return "comma"
        return "either" if self.point == self.comma else "open"

    def value(self, decimal: DecimalSign) -> float | None:
        """Its value in a convention."""
        return self.point if decimal == "point" else self.comma

    def is_grouped(self, decimal: DecimalSign) -> bool:
        """Whether it has separators of thousands in a convention."""
        return self.point_grouped if decimal == "point" else self.comma_grouped


def plain_text(text: str) -> str:
    """A text with full-width characters and the minus sign as plain ones, its edges bare."""
    return half_width(text).strip().replace("\u2212", "-")


def is_dotted(text: str) -> bool:
    """True for three digits behind the only point, as 1.234 has them, which may be thousands."""
    return _DOTTED.fullmatch(text) is not None


def written_number(text: str) -> WrittenNumber | None:
    """A text of `plain_text` as a number, None where it is none in either convention.

    >>> written_number("1,234.5").shows, written_number("1 234,5").comma, written_number("1,234").shows
    ('point', 1234.5, 'open')
    >>> written_number("12%").point, written_number("12 000").shows, written_number("1,5").point is None
    (0.12, 'either', True)
    """
    percent = text.endswith("%")
    body = text[:-1].rstrip() if percent else text
    if percent and not body[-1:].isdigit():
        return None
    plain, with_point, with_comma = (rule.fullmatch(body) for rule in (PLAIN_NUMBER, _POINT, _COMMA))
    if plain is None and with_point is None and with_comma is None:
        return None
    point = float(body) if plain else _number(body, ".") if with_point else None
    comma = point if plain and "." not in body else _number(body, ",") if with_comma else None
    if percent:
        point, comma = _share(body, point, "."), _share(body, comma, ",")
    point_grouped, comma_grouped = (bool(match and match["mark"]) for match in (with_point, with_comma))
    return WrittenNumber(point, comma, point_grouped, comma_grouped, percent)


def _number(text: str, decimal: str, exponent: str = "") -> float:
    return float(
        re.sub(rf"[^0-9e+\-{re.escape(decimal)}]", "", text.lower()).replace(decimal, ".") + exponent
    )


def _share(body: str, value: float | None, decimal: str) -> float | None:
    """A value in percent as a share, to its nearest double: 12.3% is 0.123."""
    return None if value is None or "e" in body.lower() else _number(body, decimal, "e-2")
