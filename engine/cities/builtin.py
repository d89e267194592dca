"""Data sets that come with the engine: two panels, and tables to join.

The panels are ``euro``, real, and ``china_demo``, synthetic. The tables are ``pilots``, real, for a panel of
Chinese cities, and ``policy_demo``, synthetic, for ``china_demo``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import pandas as pd

from engine.cities import china_demo, pilots
from engine.errors import InputError


@dataclass(frozen=True)
class _Builtin:
    """A data set: maker, options with their defaults, one line about it, whether it is a panel, its true effects."""

    make: Callable[..., pd.DataFrame]
    options: dict[str, int | float]
    description: str
    panel: bool = True
    truth: Callable[..., dict[str, dict[str, float]]] | None = None


def _read(name: str) -> pd.DataFrame:
    with (files("engine.cities") / "data" / name).open(encoding="utf-8") as file:
        return pd.read_csv(file)


_BUILTINS = {
    "china_demo": _Builtin(
        china_demo.generate,
        china_demo.DEFAULTS,
        "SYNTHETIC panel shaped like Chinese prefecture-level cities, 254 cities, 2010 to 2019, "
        "55 pilots with a known effect (161 with later_pilots); no number in it is an observation",
        truth=china_demo.truth,
    ),
    "euro": _Builtin(
        lambda: _read("euro.csv"),
        {},
        "REAL data, 22 OECD countries, 1950 to 2019, Penn World Table 10.0 (Feenstra, Inklaar and Timmer "
        "2015), CC BY 4.0",
    ),
    "pilots": _Builtin(
        pilots.adoption,
        {},
        "REAL adoption dates of 163 Chinese cities from the 165 cross-border e-commerce pilot areas, 2015 to "
        "2022; 60 areas are verified in part or not at all",
        panel=False,
    ),
    "policy_demo": _Builtin(
        lambda: _read("policy_demo.csv"),
        {},
        "SYNTHETIC indices of policy instruments for china_demo, 2015 to 2019, from documents written for dyadid",
        panel=False,
    ),
}

NAMES: tuple[str, ...] = tuple(name for name, builtin in _BUILTINS.items() if builtin.panel)
TABLES: tuple[str, ...] = tuple(name for name in _BUILTINS if name not in NAMES)


def load(name: str, **options: int | float | bool) -> pd.DataFrame:
    """A built-in data set, one row a city and year (a row a city: ``pilots``), sorted, canonical column names.

    Parameters
    ----------
    name : str
        A panel, one of ``NAMES``, or a table to join, one of ``TABLES``; a job file says ``builtin:NAME``.
    **options : number or bool
        Those of the data set: ``effect``, ``seed``, ``cities``, ``last_year``, ``later_pilots``,
        ``heterogeneous`` of ``china_demo``.

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


def describe(name: str, *, key: str = "panel.source") -> str:
    """One line on a built-in data set that the job names under a key: synthetic, or real with source and licence."""
    return _find(name, key).description


def truth(name: str, **options: int | float | bool) -> dict[str, dict[str, float]]:
    """Effects that a data set was made with, by adoption year and year; empty where there is no more than one.

    Rises of the expected outcome of pairs with exactly one adopter, `synchronization` standardised over all years.
    """
    builtin = _find(name)
    return builtin.truth(**builtin.options | options) if builtin.truth is not None else {}


def _find(name: str, key: str = "panel.source") -> _Builtin:
    if name not in _BUILTINS:
        raise InputError(
            f"there is no built-in data set '{name}'",
            where=key,
            remedy=f"use {_listed(NAMES)}, or the path of a file; to join, {_listed(TABLES)}",
        )
    return _BUILTINS[name]


def _listed(names: tuple[str, ...]) -> str:
    return " or ".join(f"builtin:{name}" for name in names)


@lru_cache(maxsize=4, typed=True)
def _made(name: str, options: tuple[tuple[str, int | float | bool], ...]) -> pd.DataFrame:
    return _BUILTINS[name].make(**dict(options))
