"""Reference of the keys of a job file as Markdown, ``jobs/KEYS.md``: one table for each block of the schema.

Keys, values, defaults and meanings are those of the models, the column "only for" is that of
`engine.spec.applicability`: nothing is written twice, so nothing can differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.spec import block, sizes
from engine.spec.applicability import ALWAYS, condition_of
from engine.spec.job import Job
from engine.spec.job_schema import schema
from engine.spec.plain import MOST_TEXT
from engine.tables.arithmetic import FUNCTIONS
from engine.tables.missing import MISSING_SIGNS, MISSING_WORDS

Node = Mapping[str, Any]
"""A part of the JSON Schema."""

_REF = "#/$defs/"
_PATTERNS = {
    block.NAME: "name",
    block.JOB: "name of a folder",
    block.MEMORY: "amount, 500MB or 2GB",
}


@dataclass(frozen=True)
class Section:
    """A block of the schema where it first stands.

    Attributes
    ----------
    path : str
        Dotted, as the table of applicability has it; empty for the file itself.
    heading : str
        The path with ``<name>`` where the user chooses a name.
    name : str
        Of the block in the schema.
    """

    path: str
    heading: str
    name: str


# -- the page ------------------------------------------------------------------------------------------------


def key_reference() -> str:
    """Return the whole page."""
    whole = Job.model_json_schema()
    blocks: dict[str, Node] = {**whole["$defs"], "": whole}
    sections = {section.name: section for section in _sections(blocks, Section("", "The file", ""), set())}
    tables = [_section(section, blocks[section.name], sections) for section in sections.values()]
    return "\n".join([_rules(), *tables, _missing_values(), _limits()])


def _rules() -> str:
    return f"""\
# Keys of a job file

Made from the schema by `make keys`; `dyadid keys` prints this page, `dyadid schema` the JSON Schema for editors. How
jobs are written, with examples: [README.md](README.md).

- A **formula** is a column, or arithmetic on columns: `+ - * / **`, brackets, numbers and {_marked(FUNCTIONS)}, as in
  `fiscal_revenue / fiscal_expenditure` or `growth(gdp_real)`. `lag` is the value of the year before, `diff` the change
  since, `growth` the change of the logarithm, `detrend` the deviation from a straight line through all years. A header
  with brackets or blanks goes into backticks, which YAML wants in quotes: `` "`GDP(亿元)` / population" ``.
- A **name** consists of letters of any script, digits and `_`, and does not begin with a digit.
- A key that is set must have a meaning in at least one of the cells that set it; else it is refused by name, see the
  column *only for*. A job that inherits such a key writes `null`, which sets nothing and is never an error.
- Unknown keys are refused, with the key that was probably meant. An empty list means none; lists name nothing twice.
"""


def _missing_values() -> str:
    marks = _marked([*MISSING_WORDS, *MISSING_SIGNS])
    return f"""\
## Missing values

In a number column, missing are the empty cell and, capitals or not, {marks}. Other codes are declared by `missing:`;
values of nines that stand out are reported as a warning.
"""


def _limits() -> str:
    return f"""\
## Limits

Checked before any work: {block.MOST_TERMS} controls or regressors, event years from -{block.MOST_EVENT_YEARS} to
{block.MOST_EVENT_YEARS}, strata and distance of at most {block.MOST_CLASSES:,} classes, {block.MOST_NAMES:,} entries of
any other list or mapping, {sizes.MOST_CELLS:,} cells, {sizes.MOST_DRAWS:,} draws of all cells and terms, text of
{MOST_TEXT:,} characters without control characters or line breaks. A job is not called `report.html` or `tables.docx`,
which lie beside its folder, nor as Windows calls devices.
"""


def _sections(blocks: Mapping[str, Node], section: Section, seen: set[str]) -> Iterator[Section]:
    """Yield the file, then every block once, where the models first name it."""
    seen.add(section.name)
    yield section
    for key, node in blocks[section.name]["properties"].items():
        name, suffix = _block_of(node)
        if name and name not in seen:
            path = f"{section.path}.{key}".lstrip(".")
            yield from _sections(blocks, Section(path, path + suffix, name), seen)


def _block_of(node: Node) -> tuple[str, str]:
    """Return the block that a key holds, and ``.<name>`` where it holds several by name; empty for plain values."""
    if "$ref" in node:
        return node["$ref"].removeprefix(_REF), ""
    for named in node.get("patternProperties", {}).values():
        return _block_of(named)[0], ".<name>"
    parts = [*node.get("anyOf", []), *node.get("oneOf", []), *([node["items"]] if "items" in node else [])]
    return next((inner for part in parts if (inner := _block_of(part))[0]), ("", ""))


# -- a section -----------------------------------------------------------------------------------------------


def _section(section: Section, node: Node, sections: Mapping[str, Section]) -> str:
    condition = condition_of(section.path)
    for_block = condition.text if condition and condition is not ALWAYS else ""
    rows = [_row(section, key, node, for_block, sections) for key in node["properties"]]
    if not section.path:
        extends = schema()["properties"]["extends"]["description"]
        rows.insert(1, ("`extends`", "path, or list: path", "", "", extends))
    rows = [("key", "values", "default", "only for", "meaning"), ("---",) * 5, *rows]
    if not any(row[3] for row in rows[2:]):
        rows = [(*row[:3], row[4]) for row in rows]
    lines = [f"| {' | '.join(row)} |".replace("|  |", "| |").replace("|  |", "| |") for row in rows]
    heading = f"## `{section.heading}`" if section.path else f"## {section.heading}"
    about = _plain(node["description"]) + (f" Only for {for_block}." if for_block else "")
    return "\n".join([heading, "", about, "", *lines, ""])


def _row(
    section: Section, key: str, node: Node, for_block: str, sections: Mapping[str, Section]
) -> tuple[str, ...]:
    about = node["properties"][key]
    condition = condition_of(f"{section.path}.{key}".lstrip("."))
    only = condition.text if condition and condition is not ALWAYS and condition.text != for_block else ""
    default = "required" if key in node.get("required", []) else _default(about)
    return f"`{key}`", _values(about, sections), default, only, _plain(about.get("description", ""))


def _default(about: Node) -> str:
    """Return the default; empty for blocks, and where the description says what the absence of a key means."""
    default = about.get("default")
    if default in (None, "", {}, []) or _block_of(about)[0]:
        return ""
    return f"`{json.dumps(default, ensure_ascii=False)}`".replace('"', "")


def _values(node: Node, sections: Mapping[str, Section]) -> str:
    """Return the values that a key can have."""
    if "$ref" in node:
        heading = sections[node["$ref"].removeprefix(_REF)].heading
        return f"[block](#{''.join(letter for letter in heading if letter.isalnum() or letter in '_-')})"
    if "anyOf" in node or "oneOf" in node:
        arms = [
            _values(arm, sections)
            for arm in node.get("anyOf", node.get("oneOf"))
            if arm.get("type") != "null"
        ]
        return " or ".join(dict.fromkeys(arms))
    if "enum" in node or "const" in node:
        return ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    if "prefixItems" in node:
        return f"[{', '.join(_values(item, sections) for item in node['prefixItems'])}]"
    match node.get("type"):
        case "array":
            return f"list: {_values(node['items'], sections)}"
        case "object":
            return _mapping(node, sections)
        case "boolean":
            return "`true`, `false`"
        case "integer" | "number" as kind:
            return "integer" + _range(node) if kind == "integer" else "number" + _range(node)
        case "string":
            return str(_PATTERNS.get(node.get("pattern", ""), node.get("format", "text")))
    return "any value"


def _mapping(node: Node, sections: Mapping[str, Section]) -> str:
    name, values = next(iter(node.get("patternProperties", {}).items()), ("", None))
    values = values or node.get("additionalProperties")
    item = _values(values, sections) if isinstance(values, dict) else "any value"
    return f"mapping: {_PATTERNS.get(name, 'text')} to {item}"


def _range(node: Node) -> str:
    """Return the limits of a number; empty for those of a year, which no year reaches."""
    least, above = node.get("minimum"), node.get("exclusiveMinimum")
    if least == -9999 or (least is None and above is None):
        return ""
    low = f"above {_limit(node['exclusiveMinimum'])}" if least is None else f"from {_limit(node['minimum'])}"
    if "maximum" in node:
        return f" {low} to {_limit(node['maximum'])}"
    return f" {low} below {_limit(node['exclusiveMaximum'])}" if "exclusiveMaximum" in node else f" {low}"


def _limit(number: float) -> str:
    """A whole number without a point: versions of pydantic give limits as written, or as the field's type has them."""
    return "2^64" if number == 2**64 else f"{int(number) if number == int(number) else number:,}"


# -- text ----------------------------------------------------------------------------------------------------


def _marked(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def _plain(text: str) -> str:
    """Return a description as a cell of a Markdown table holds it."""
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|").replace("<", "&lt;")
