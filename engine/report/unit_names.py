"""Names of the units of a job in its tables: cities, countries, and so on, by the header of their column."""

from __future__ import annotations

import re
from collections.abc import Mapping

UNITS = "Units"
_NAMES = {
    "Countries": r"countr|nation|\biso|exporter|importer|国",
    "Counties": r"county|counties|县",
    "Provinces": r"provin|\bprov|省",
    "Cities": r"city|cities|prefecture|市",
}
"""Row labels, and what a header of such units reads like."""
_COUNTRY_DATA = ("builtin:euro",)  # whose column is called city all the same


def units_label(parameters: Mapping[str, object]) -> str:
    """The label of the row that counts units, of a job with these keys; `UNITS` where the header tells nothing.

    >>> units_label({"panel": {"source": "a.csv", "columns": {"city": "城市"}}}), units_label({"panel": {}})
    ('Cities', 'Cities')
    >>> units_label({"pair_table": {"unit_i": "exporter"}}), units_label({"pair_table": {"unit_i": "a"}})
    ('Countries', 'Units')
    """
    panel, table = parameters.get("panel"), parameters.get("pair_table")
    if isinstance(panel, Mapping):
        if panel.get("source") in _COUNTRY_DATA:
            return "Countries"
        columns = panel.get("columns")
        header = columns.get("city", "city") if isinstance(columns, Mapping) else "city"
    else:
        header = table.get("unit_i") if isinstance(table, Mapping) else None
    text = str(header or "").lower()
    return next((label for label, pattern in _NAMES.items() if re.search(pattern, text)), UNITS)
