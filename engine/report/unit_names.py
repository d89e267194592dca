"""Names of the units of a job in its tables: cities, countries, and so on, by the headers of their columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

UNITS = "Units"
CITIES = "Cities"
_COUNTRIES, _COUNTIES, _PROVINCES = "Countries", "Counties", "Provinces"

_COUNTRY_DATA = ("builtin:euro",)  # whose column is called city all the same
_ENGLISH = {
    _COUNTRIES: "country countries nation nations iso",
    _COUNTIES: "county counties",
    _PROVINCES: "province provinces prov",
    CITIES: "city cities prefecture prefectures",
    UNITS: (
        "firm firms company companies enterprise enterprises plant plants bank banks branch school schools university "
        "universities hospital hospitals household households person persons district districts region regions zone "
        "zones area areas state states town towns village villages port ports airport airports station stations park "
        "parks market markets industry industries sector sectors product products"
    ),
}
"""Nouns of headers by the label of what they name; `UNITS` for what has no label of its own."""
_TRADERS = frozenset(("exporter", "exporters", "importer", "importers"))
"""Countries, unless another noun says that they are something else."""
_ENDINGS = "id code name no num nr key"
_BARE = frozenset((*_ENDINGS.split(), "label", "string", "of", "the"))  # words that say nothing of the unit
# In a Chinese header the last noun is the head. Of what begins at one place the first alternative is read, so longer
# words come first; an empty label is a word that holds the sign of a noun and is none.
_CHINESE = {
    "": "中国|全国|国内|国际|国有|国营|国民|国标|国家级|市值|区号",
    UNITS: (
        "市场|超市|门市|夜市|上市|国企|企业|公司|工厂|商店|门店|银行|学校|高校|大学|医院|家庭|个人|行业|产业|产品|"
        "开发区|高新区|新区|园区|地区|区域|片区|社区|特区|城市群|城市圈|都市圈|自治州|港口|机场|乡镇|街道|村"
    ),
    _COUNTIES: "市辖区|区县|县区|县",
    CITIES: "省会|城市|地级|市",
    _PROVINCES: "省",
    _COUNTRIES: "国",
}
_NOUN_OF = {word: label for label, words in _ENGLISH.items() for word in words.split()}
_WORD = re.compile(
    r"(?P<english>[A-Z]+(?![a-z])|[A-Z]?[a-z]+)|"
    + "|".join(f"(?P<chinese{place}>{words})" for place, words in enumerate(_CHINESE.values()))
)
_ENDING = re.compile(rf"({'|'.join(_ENDINGS.split())})$")


def units_label(parameters: Mapping[str, object]) -> str:
    """The label of the row that counts units, of a job with these keys; `UNITS` where the headers tell nothing.

    The last noun of a header counts. The two unit columns of a pair table have to agree.

    >>> units_label({"panel": {"source": "a.csv", "columns": {"city": "城市"}}}), units_label({"panel": {}})
    ('Cities', 'Cities')
    >>> units_label({"pair_table": {"unit_i": "exporter", "unit_j": "importer"}})
    'Countries'
    >>> units_label({"pair_table": {"unit_i": "exporter_city", "unit_j": "importer_firm"}})
    'Units'
    """
    panel, table = parameters.get("panel"), parameters.get("pair_table")
    if isinstance(panel, Mapping):
        if panel.get("source") in _COUNTRY_DATA:
            return _COUNTRIES
        columns = panel.get("columns")
        headers = [columns.get("city", "city") if isinstance(columns, Mapping) else "city"]
    else:
        pair = table if isinstance(table, Mapping) else {}
        headers = [pair[key] for key in ("unit_i", "unit_j") if key in pair]
    labels = {_label_of(str(header or "")) for header in headers}
    return labels.pop() if len(labels) == 1 else UNITS


def _label_of(header: str) -> str:
    words = [word for word, _ in _words(header)]
    nouns = [label for _, label in _words(header) if label]
    if nouns:
        return nouns[-1]
    telling = {word for word in words if len(word) > 1 and word not in _BARE}
    return _COUNTRIES if telling and telling <= _TRADERS else UNITS


def _words(header: str) -> Iterator[tuple[str, str]]:
    """The words of a header, small, each with the label that it names as a noun, empty for other words."""
    labels = list(_CHINESE)
    for match in _WORD.finditer(header):
        word, group = match[0].lower(), match.lastgroup or ""
        if group == "english":
            yield word, _NOUN_OF.get(word) or _NOUN_OF.get(_ENDING.sub("", word), "")
        else:
            yield word, labels[int(group.removeprefix("chinese"))]
