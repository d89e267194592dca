"""Numbers as tables, figures and sentences print them."""

from __future__ import annotations


def number(value: float, least: int = 0) -> str:
    """Four decimals, or three significant digits where four decimals would hide or drown them.

    ``least``: decimals that a number below 100 has at least, so that it stands below others of its row.

    >>> number(0.07021), number(-0.000412), number(1234.56), number(3.2e-9), number(float("-inf"))
    ('0.0702', '-0.000412', '1,234.56', '3.20e-09', '-∞')
    >>> number(0.07021, 6), number(1234.56, 6)
    ('0.070210', '1,234.56')
    """
    size = abs(value)
    if size == float("inf"):
        return "∞" if value > 0 else "-∞"
    if size == 0 or 1e-6 <= size < 100:
        return f"{value:.{max(decimals(value), least)}f}"
    if 100 <= size < 1e7:
        return f"{value:,.2f}"
    return f"{value:.2e}"


def decimals(value: float) -> int:
    """Decimals of a number that is zero or between a millionth and 100; none of any other.

    >>> decimals(0.07021), decimals(-0.000412), decimals(1234.56)
    (4, 6, 0)
    """
    size = abs(value)
    if size == 0 or 1e-3 <= size < 100:
        return 4
    return 2 - int(f"{size:.2e}".partition("e")[2]) if 1e-6 <= size < 1e-3 else 0


def percent(share: float) -> str:
    """A share in percent, not rounded.

    >>> percent(0.95), percent(0.995), percent(0.9)
    ('95%', '99.5%', '90%')
    """
    return f"{100 * share:.6g}%"
