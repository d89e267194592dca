"""``model.fixed_effects``: what may be listed, and what each entry means.

pair                     every pair; of panels always there
year                     every year
city x year              every city in every year, through both ends of a pair
<column> x year          every value of a city's label column in every year, through both ends; of a pair
                         table, every value of one of its own columns in every year
<column>-pair x year     every unordered pair of labels in every year
distance:k x year        k classes of pairs, equally large, by great-circle distance, in every year
<column>                 every value of a pair table's own column
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from engine.errors import InputError
from engine.spec.block import MOST_CLASSES

Kind = Literal["pair", "year", "city", "column", "column_pair", "distance"]

_COLUMN = r"[^\W\d]\w*"
_ENTRY = re.compile(rf"(?P<name>{_COLUMN})(?P<suffix>-pair|:\d+)?(?P<by_year> x year)?")
_OF_PANELS = "pair, year, city x year, <column> x year, <column>-pair x year, distance:k x year"
_OF_TABLES = "pair, year, city x year, <column>, <column> x year"
_LISTED = f"possible are {_OF_PANELS}; for a pair_table {_OF_TABLES}"


@dataclass(frozen=True)
class FixedEffect:
    """An entry of ``model.fixed_effects``.

    Attributes
    ----------
    text : str
        As listed, blanks made single.
    kind : str
    column : str
        Label column of a city, or column of a pair table; empty for other kinds.
    classes : int
        Of the distance; 0 for other kinds.
    by_year : bool
        A level of its own in every year.
    """

    text: str
    kind: Kind
    column: str = ""
    classes: int = 0
    by_year: bool = False

    @property
    def has_years(self) -> bool:
        """Year effects add nothing to it."""
        return self.kind == "year" or self.by_year


@lru_cache(maxsize=1024)
def parse_effect(text: str) -> FixedEffect:
    """The meaning of an entry; raises InputError, listing what is possible, where it has none."""
    plain = " ".join(text.split())
    match = _ENTRY.fullmatch(plain)
    if match is None:
        raise InputError(f"'{text}' is no fixed effect", remedy=_LISTED)
    name, suffix, by_year = match["name"], match["suffix"] or "", match["by_year"] is not None
    if name in ("pair", "year") and not suffix:
        if by_year:
            raise InputError(f"'{plain}' is no fixed effect: list '{name}' alone", remedy=_LISTED)
        return FixedEffect(plain, "pair" if name == "pair" else "year")
    if name == "distance":
        return _distance(plain, suffix, by_year)
    if suffix.startswith(":"):
        raise InputError(f"'{plain}' is no fixed effect: only distance has classes", remedy=_LISTED)
    if name in ("pair", "year") or (name == "city" and suffix):
        raise InputError(f"'{plain}' is no fixed effect", remedy=_LISTED)
    if not by_year and (suffix or name == "city"):
        raise _constant(plain)
    kind: Kind = "city" if name == "city" else "column_pair" if suffix else "column"
    return FixedEffect(plain, kind, "" if name == "city" else name, by_year=by_year)


def _distance(text: str, suffix: str, by_year: bool) -> FixedEffect:
    classes = int(suffix[1:]) if suffix.startswith(":") and len(suffix) < 9 else 0
    if not 2 <= classes <= MOST_CLASSES:
        raise InputError(
            f"'{text}' needs a number of classes from 2 to {MOST_CLASSES:,}",
            remedy="e.g. distance:10 x year",
        )
    if not by_year:
        raise _constant(text)
    return FixedEffect(text, "distance", classes=classes, by_year=True)


def _constant(text: str) -> InputError:
    return InputError(
        f"'{text}' does not change within a pair, so the pair effects contain it",
        remedy=f"list '{text} x year'",
    )


def parse_effects(texts: Sequence[str]) -> tuple[FixedEffect, ...]:
    """All entries of a model; raises InputError where there is none, or one has no meaning."""
    return _parsed(tuple(texts))


@lru_cache(maxsize=1024)
def _parsed(texts: tuple[str, ...]) -> tuple[FixedEffect, ...]:
    if not texts:
        raise InputError(
            "fixed_effects must hold an effect", remedy="e.g. [pair, year], or of a pair table [year]"
        )
    return tuple(parse_effect(text) for text in texts)


def absorbed(effects: Sequence[FixedEffect]) -> bool:
    """Whether there are other effects than pair and year together, so that they are absorbed row by row."""
    return {effect.kind for effect in effects} != {"pair", "year"}


def refuse_foreign(effects: Sequence[FixedEffect], *, table: bool) -> None:
    """Raise InputError for effects that a pair table, or a city panel, cannot have, and those that a panel lacks."""
    if not table and not any(effect.kind == "pair" for effect in effects):
        raise InputError("model: fixed_effects must hold pair", remedy="e.g. [pair, year]")
    if not table and not any(effect.has_years for effect in effects):
        raise InputError(
            "model: fixed_effects must hold year, or an effect by year", remedy="e.g. [pair, year]"
        )
    for effect in effects:
        if table and effect.kind in ("column_pair", "distance"):
            subject = "city columns" if effect.kind == "column_pair" else "coordinates"
            raise InputError(
                f"fixed_effects names '{effect.text}', but a pair_table has no {subject}",
                remedy=f"possible are {_OF_TABLES}",
            )
        if not table and effect.kind == "column" and not effect.by_year:
            raise _constant(effect.text)


def refuse_absorbed_policy(
    effects: Sequence[FixedEffect], *, term: str, rule: str, both_treated_kept: bool
) -> None:
    """Raise InputError where city x year effects contain the treatment, whatever the data.

    Without pairs of two treated cities, and under rule count always, the treatment of a pair is the sum of a
    term of its one city in that year and a term of the other.
    """
    if not any(effect.kind == "city" for effect in effects):
        return
    if rule == "count":
        raise InputError(
            f"the effects city x year absorb '{term}': under rule count it is the sum of its cities' own",
            remedy="use rule exactly_one, both or either, or leave out city x year",
        )
    if not both_treated_kept:
        raise InputError(
            f"the effects city x year absorb '{term}': without pairs of two treated cities it is the sum of its "
            "cities' own",
            remedy="keep those pairs (pairs.exclude: none), or leave out city x year",
        )
