"""Stata files: values with their labels, and the labels of variables."""

from __future__ import annotations

import io

import pandas as pd

from engine.tables import limits
from engine.tables.file_bytes import FileBytes
from engine.tables.headers import column_names

_YES_OR_NO = frozenset(("yes", "no", "true", "false", "0", "1", "是", "否", "有", "无"))


def read_stata(file: FileBytes) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table, and the label of each variable that has one.

    A column whose every value has a label is text, as Stata lists it; indicators (0 for no, 1 for yes) and columns with
    values that have no label stay numbers. Extended missing values (``.a`` to ``.z``) are missing.
    """
    options = {"convert_categoricals": False, "iterator": True}
    with pd.read_stata(io.BytesIO(file.content), **options) as reader:  # type: ignore[call-overload]
        labels = reader.variable_labels()
        frame = reader.read()
        limits.check_shape(file.path, rows=len(frame), columns=frame.shape[1], backed=len(file.content))
        value_labels = reader.value_labels()
        label_sets = dict(zip(reader._varlist, reader._lbllist, strict=True))
    for name in frame.columns:
        texts = value_labels.get(label_sets.get(name, ""))
        if texts:
            frame[name] = _labelled(frame[name], texts)
    names = column_names(list(frame.columns), source=file.label)
    variable_labels = {name: labels[old].strip() for name, old in zip(names, frame.columns, strict=True)}
    return frame.set_axis(names, axis=1), {name: text for name, text in variable_labels.items() if text}


def _labelled(cells: pd.Series, texts: dict[float, str]) -> pd.Series:
    """The labels of a column's values where every value has one and it is no indicator, else the column."""
    values = set(cells.dropna().unique())
    indicator = values <= {0, 1} and {texts.get(value, "").strip().lower() for value in values} <= _YES_OR_NO
    if not values <= set(texts) or indicator:
        return cells
    return cells.map(texts).astype("str")
