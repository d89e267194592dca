"""The two data sets that come with the engine: one real (``euro``), one synthetic (``china_demo``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import pandas as pd

from engine.cities import china_demo
from engine.errors import InputError


@dataclass(frozen=True)
class _Builtin:
    """A data set: its maker, the options the maker takes with their defaults, and one line about it."""

    make: Callable[..., pd.DataFrame]
    options: dict[str, int | float]
    description: str


def _euro() -> pd.DataFrame:
    with (files("engine.cities") / "data" / "euro.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


_BUILTINS = {
    "china_demo": _Builtin(
        china_demo.generate,
        china_demo.DEFAULTS,
        "SYNTHETIC panel shaped like Chinese prefecture-level cities, 254 cities, 2010 to 2019, "
        "55 pilots with a known effect; no number in it is an observation",
    ),
    "euro": _Builtin(
        _euro,
        {},
        "REAL data, 22 OECD countries, 1950 to 2019, Penn World Table 10.0 (Feenstra, Inklaar and Timmer "
        "2015), CC BY 4.0",
    ),
}

NAMES: tuple[str, ...] = tuple(_BUILTINS)


def load(name: str, **options: int | float | bool) -> pd.DataFrame:
    """A built-in data set, long: one row a city and year, sorted by both, canonical column names.

    Parameters
    ----------
    name : str
        One of ``NAMES``; a job file says ``builtin:NAME``.
    **options : number or bool
        Those of the data set, e.g. ``effect``, ``seed``, ``cities``, ``last_year`` of ``china_demo``.

    Returns
    -------
    DataFrame
        A copy the caller may change. The last few data sets made are remembered.

    Raises
    ------
    InputError
        Unknown name, unknown option, or a value outside the option's range.
    """
    builtin = _find(name)
    for option in options:
        if option not in builtin.options:
            choices = f"choose from {', '.join(builtin.options)}" if builtin.options else "it takes none"
            raise InputError(
                f"builtin:{name} has no option '{option}'", where=f"panel.options.{option}", remedy=choices
            )
    return _made(name, tuple((builtin.options | options).items())).copy()


def describe(name: str) -> str:
    """One line on a built-in data set: synthetic, or real with source and licence."""
    return _find(name).description


def _find(name: str) -> _Builtin:
    if name not in _BUILTINS:
        raise InputError(
            f"there is no built-in data set '{name}'",
            where="panel.source",
            remedy=f"use {' or '.join(f'builtin:{known}' for known in NAMES)}, or the path of a file",
        )
    return _BUILTINS[name]


@lru_cache(maxsize=4, typed=True)
def _made(name: str, options: tuple[tuple[str, int | float | bool], ...]) -> pd.DataFrame:
    return _BUILTINS[name].make(**dict(options))
