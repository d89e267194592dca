"""Names that are nearly the same: the rules by which they differ, and the name of those that are merged."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from engine.errors import InputError

MergeRule = Literal["case", "zeros", "blanks", "suffix", "accents"]
"""How two names may differ and yet be one: ``Nanchang`` and ``NANCHANG``, ``2`` and ``02``, ``南昌 市`` and
``南昌市``, ``南昌`` and ``南昌市``, ``Zürich`` and ``Zurich``."""

MERGE_RULES: tuple[MergeRule, ...] = get_args(MergeRule)
_SUFFIXES = (
    *(
        "特别行政区",
        "自治区",
        "自治州",
        "自治县",
        "地区",
        "林区",
        "新区",
        "省",
        "市",
        "州",
        "县",
        "区",
        "盟",
        "旗",
    ),
    *("特別行政區", "自治區", "地區", "縣", "區", "県", "府", "都", "시", "군", "구", "도"),
    *(" city", " province", " prefecture", " county", " district", " municipality", " shi", " sheng"),
)
_MARKS = re.compile("[\u0300-\u036f]")
_ENDINGS = tuple({suffix.strip() for suffix in _SUFFIXES})
_UNDECOMPOSED = str.maketrans(
    {
        "ł": "l",
        "Ł": "L",
        "ø": "o",
        "Ø": "O",
        "đ": "d",
        "Đ": "D",
        "ı": "i",
        "æ": "ae",
        "Æ": "AE",
        "œ": "oe",
        "Œ": "OE",
    }
)
_LEADING_ZEROS, _EMPTY_DECIMALS = re.compile(r"(?<![\d.,])0+(?=\d)"), re.compile(r"(?<=\d)\.0+$")


@dataclass(frozen=True)
class NearDuplicates:
    """Names that are one under the merge rules."""

    names: tuple[str, ...]
    merge_rules: tuple[MergeRule, ...]


def merge_names(
    counts: Mapping[str, int], merge_rules: Collection[MergeRule], *, source: str
) -> dict[str, str]:
    """The name that each normalised name goes by, where names that differ only by the merge rules are one.

    Of the names of a group, the most frequent stands for all (the first in sorting order where several are).

    Parameters
    ----------
    counts : mapping of str to int
        Rows that write each name.
    merge_rules : collection of str
        See `MergeRule`.
    source : str
        File, for messages.

    Raises
    ------
    InputError
        Where ``suffix`` could join a name to either of two (吉林 beside 吉林省 and 吉林市).
    """
    groups = _groups(counts, frozenset(merge_rules))
    name_of: dict[str, str] = {}
    for group in groups:
        if "suffix" in merge_rules:
            _refuse_ambiguous(group, merge_rules, source)
        most_frequent = min(group, key=lambda name: (-counts[name], name))
        name_of |= dict.fromkeys(group, most_frequent)
    return name_of


def near_duplicates(names: Iterable[str]) -> tuple[NearDuplicates, ...]:
    """Groups of two or more normalised names that are one under all rules, each with the rules it takes."""
    duplicates, all_rules = [], frozenset(MERGE_RULES)
    for group in _groups(names, all_rules):
        if len(group) > 1:
            necessary = tuple(
                merge_rule for merge_rule in MERGE_RULES if len(_groups(group, all_rules - {merge_rule})) > 1
            )
            duplicates.append(NearDuplicates(tuple(group), necessary or _sufficient_rules(group)))
    return tuple(duplicates)


def merge_key(name: str, merge_rules: Collection[MergeRule]) -> str:
    """The text that names share which differ only by the merge rules; for ``suffix`` see `stems`."""
    if "accents" in merge_rules and not name.isascii():
        name = unicodedata.normalize("NFD", name.translate(_UNDECOMPOSED))
        name = unicodedata.normalize("NFC", _MARKS.sub("", name))
    if "case" in merge_rules:
        name = name.casefold()
    if "zeros" in merge_rules and "0" in name:
        name = _LEADING_ZEROS.sub("", name)
        name = _EMPTY_DECIMALS.sub("", name) if "." in name else name
    if "blanks" in merge_rules:
        name = name.replace(" ", "")
    return name


def stems(key: str) -> list[str]:
    """Forms of a name without its suffix (市, 省, city); never less than two characters."""
    plain = key.casefold()
    if not plain.endswith(_ENDINGS):
        return []
    endings = [suffix for suffix in _SUFFIXES if plain.endswith((suffix, suffix.strip()))]
    cut = {key[: -len(suffix.strip())].rstrip() for suffix in endings}
    return sorted(stem for stem in cut if len(stem) > 1)


def _groups(names: Iterable[str], merge_rules: frozenset[MergeRule]) -> list[list[str]]:
    """Names, sorted, by the text that they share under the merge rules."""
    by_key: dict[str, list[str]] = {}
    for name in sorted(names):
        by_key.setdefault(merge_key(name, merge_rules), []).append(name)
    if "suffix" not in merge_rules:
        return list(by_key.values())
    home = {key: key for key in by_key}
    for key in by_key:
        bare = next((stem for stem in stems(key) if stem in by_key), None)
        if bare is not None:
            home[key] = bare
    by_home: dict[str, list[str]] = {}
    for key, group in by_key.items():
        while home[key] != key:
            key = home[key]
        by_home.setdefault(key, []).extend(group)
    return [sorted(group) for group in by_home.values()]


def _sufficient_rules(group: Sequence[str]) -> tuple[MergeRule, ...]:
    """Rules that merge a group in which no single rule is necessary, since two of them explain the same."""
    needed_rules: list[MergeRule] = list(MERGE_RULES)
    for merge_rule in MERGE_RULES:
        fewer = frozenset(needed_rules) - {merge_rule}
        if len(_groups(group, fewer)) == 1:
            needed_rules.remove(merge_rule)
    return tuple(needed_rules)


def _refuse_ambiguous(group: Sequence[str], merge_rules: Collection[MergeRule], source: str) -> None:
    exact_rules = [merge_rule for merge_rule in merge_rules if merge_rule != "suffix"]
    with_suffix: dict[str, dict[str, str]] = {}
    keys = {merge_key(name, exact_rules): name for name in group}
    for key, name in keys.items():
        for stem in stems(key):
            if stem in keys:
                with_suffix.setdefault(keys[stem], {})[key] = name
    for bare, choices in with_suffix.items():
        if len(choices) > 1:
            raise InputError(
                f"'{bare}' could be {' or '.join(sorted(choices.values()))}, so that suffix cannot be merged",
                where=source,
                remedy=f"write '{bare}' with its suffix, or leave suffix out of merge_names",
            )
