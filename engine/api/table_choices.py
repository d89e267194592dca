"""Choices of a printed table as an argument: the block ``table`` of a job, and its rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from engine.report.table_style import TableChoices
from engine.spec.block import Block
from engine.spec.data_frames import plain
from engine.spec.table_layout import TableLayout
from engine.spec.validate import validate

_TEXTS = frozenset(TableChoices.__annotations__) - {"digits", "labels"}


class _Choices(Block):
    """The block under its name, so that messages name its keys as those of a job do."""

    table: TableLayout


def checked_choices(choices: TableChoices) -> TableChoices:
    """The choices, unchanged; texts are held against the results by the table itself.

    Raises
    ------
    InputError
        For names and types that no job could have, in the words of the command line.
    """
    block = {
        name: plain(value)
        for name, value in choices.items()
        if value is not None and not _is_text(name, value)
    }
    validate(_Choices, {"table": block}, file="")
    return choices


def _is_text(name: str, value: object) -> bool:
    """Whether a choice is text, or some texts: those of ``labels`` by name."""
    if name == "labels":
        texts = [*value.keys(), *value.values()] if isinstance(value, Mapping) else [None]
    elif name in _TEXTS and not isinstance(value, Mapping):
        texts = list(value) if isinstance(value, Collection) else [value]
    else:
        return False
    return all(isinstance(text, str) for text in texts)
