"""Cities whose name a table spells in two ways, so that each spelling lacks the years of the other one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from engine.arrays import Flags
from engine.errors import InputError
from engine.notes import Note, shortened
from engine.tables.near_duplicates import (
    MERGE_RULES,
    MergeRule,
    NearDuplicates,
    merge_names,
    near_duplicates,
)
from engine.tables.problems import job_line

_SHOWN = 5


def split_cities(
    units: Sequence[str], has_row: Flags, merge_rules: Collection[MergeRule]
) -> dict[str, NearDuplicates]:
    """The further spellings of each city that are nearly alike, and the merge rules with which they are one.

    Spellings that have a year in common are two cities, or a row given twice; those that the rules could join to
    either of two cities (吉林 beside 吉林省 and 吉林市) are none of one.

    Parameters
    ----------
    units : sequence of str
        All cities of the table.
    has_row : bool ``[n_units, n_years]``
        City-years that the table has a row of.
    merge_rules : collection of str
        Rules that the job states already; they stay.
    """
    position = {unit: place for place, unit in enumerate(units)}
    spellings: dict[str, NearDuplicates] = {}
    for group in near_duplicates(units):
        rules = _in_order({*merge_rules, *group.merge_rules})
        n_rows = has_row[[position[name] for name in group.names]].sum(axis=0)
        if n_rows.max(initial=0) < 2 and _may_merge(group.names, rules):
            for name in group.names:
                others = tuple(spelling for spelling in group.names if spelling != name)
                spellings[name] = NearDuplicates(others, rules)
    return spellings


def merge_line(spellings: Iterable[NearDuplicates]) -> str:
    """The line of the job that makes the spellings of each city one; "" where there are none."""
    rules = _in_order({rule for group in spellings for rule in group.merge_rules})
    return job_line("panel.merge_names", list(rules)) if rules else ""


def merge_notes(spellings: Mapping[str, NearDuplicates]) -> list[Note]:
    """That line with the cities that it makes one, by the name of each that was dropped; none where none was."""
    if not spellings:
        return []
    groups = dict.fromkeys(" = ".join(sorted([name, *further.names])) for name, further in spellings.items())
    rule = merge_line(spellings.values())
    return [Note.of("names_to_merge", rule=rule, groups=shortened(list(groups), _SHOWN))]


def _in_order(rules: Collection[MergeRule]) -> tuple[MergeRule, ...]:
    return tuple(rule for rule in MERGE_RULES if rule in rules)


def _may_merge(names: Sequence[str], rules: Collection[MergeRule]) -> bool:
    try:
        merge_names(dict.fromkeys(names, 1), rules, source="")
    except InputError:
        return False
    return True
