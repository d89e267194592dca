"""Stata files: values with their labels, and the labels of variables."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterable
from functools import partial

import pandas as pd

from engine.errors import InputError
from engine.tables import limits
from engine.tables.file_bytes import FileBytes
from engine.tables.headers import FileLayout, column_names

_UNICODE = 118  # the first format whose text is UTF-8, that of Stata 14
_YES_OR_NO = frozenset(("yes", "no", "true", "false", "0", "1", "是", "否", "有", "无"))


def read_stata(file: FileBytes, layout: FileLayout) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table, and the label of each variable that has one.

    A column whose values all have a label, each its own, is text, as Stata lists it; indicators (0 for no, 1 for yes)
    and columns with values that have no label, or labels that are numbers, stay numbers. Extended missing values
    (``.a`` to ``.z``) are missing.

    Raises
    ------
    InputError
        For text of a Stata before 14 that is not ASCII, whose encoding the user does not state; for a statement of
        the encoding of a later one, which is UTF-8.
    """
    options = {"convert_categoricals": False, "iterator": True}
    with pd.read_stata(io.BytesIO(file.content), **options) as reader:  # type: ignore[call-overload]
        labels = reader.variable_labels()
        frame = reader.read()
        limits.check_shape(file.path, rows=len(frame), columns=frame.shape[1], backed=len(file.content))
        value_labels = reader.value_labels()
        label_sets = dict(zip(reader._varlist, reader._lbllist, strict=True))
        version = reader._format_version
    decode = _decoder(file, layout, version)
    for name in frame.columns:
        texts = value_labels.get(label_sets.get(name, ""))
        if texts:
            frame[name] = _labelled(frame[name], {value: decode(text) for value, text in texts.items()})
            continue
        if version < _UNICODE and frame[name].dtype in (object, "str"):
            frame[name] = frame[name].map(decode, na_action="ignore")
    names = column_names([decode(name) for name in frame.columns], source=file.label)
    variable_labels = {
        name: decode(labels[old]).strip() for name, old in zip(names, frame.columns, strict=True)
    }
    return frame.set_axis(names, axis=1), {name: text for name, text in variable_labels.items() if text}


def _labelled(cells: pd.Series, texts: dict[float, str]) -> pd.Series:
    """The labels of a column's values where every value has its own and it is no indicator, else the column."""
    values = set(cells.dropna().unique())
    used = [texts[value].strip() for value in values if value in texts]
    indicator = values <= {0, 1} and {text.lower() for text in used} <= _YES_OR_NO
    if len(set(used)) < len(values) or indicator or _all_numbers(used):
        return cells
    return cells.map(texts).astype("str")


def _all_numbers(texts: Iterable[str]) -> bool:
    try:
        return all(float(text) is not None for text in texts)
    except ValueError:
        return False


def _decoded(file: FileBytes, encoding: str | None, text: str) -> str:
    """Text of a Stata before 14, which pandas reads as Latin-1; raises InputError where its encoding is not known."""
    if not isinstance(text, str) or text.isascii():
        return text
    if encoding is None:
        raise InputError(
            f"the text '{text[:20]}' of a Stata before 14 does not say its encoding",
            where=file.label,
            remedy="state encoding: gb18030 (Chinese), cp1252 (Western) or another; or save it from Stata 14 on",
        )
    try:
        return text.encode("latin-1").decode(encoding)
    except UnicodeError:
        raise InputError(
            f"the text '{text[:20]}' is not in encoding {encoding}",
            where=file.label,
            remedy="state the encoding that it was saved in",
        ) from None


def _decoder(file: FileBytes, layout: FileLayout, version: int) -> Callable[[str], str]:
    """Texts of a file as they were written."""
    encoding = layout.encoding
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except (LookupError, ValueError):
            raise InputError(
                f"'{encoding}' is no encoding",
                where=layout.named("encoding"),
                remedy="e.g. gb18030 or cp1252",
            ) from None
        if version >= _UNICODE:
            raise InputError(
                "an encoding is given, but text of Stata 14 and later is UTF-8",
                where=layout.named("encoding"),
                remedy="take it out",
            )
    return str if version >= _UNICODE else partial(_decoded, file, encoding)
