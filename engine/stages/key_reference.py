"""Reference of the keys of a job file as Markdown, ``jobs/KEYS.md`` and its Chinese: one table for each block.

Keys, values, defaults and meanings are those of the models, the column "only for" is that of
`engine.spec.applicability`: nothing is written twice, so nothing can differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.report.language.error_words import worded_text
from engine.report.language.wording import ENGLISH, Words
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
_FILE = "The file"
_ORIGIN = (
    "Made from the schema by `make keys`; `dyadid keys` prints this page, `dyadid schema` the JSON Schema for editors. "
    "How jobs are written, with examples: [README.md](README.md)."
)
_RULES = (
    "A **formula** is a column, or arithmetic on columns: `+ - * / **`, brackets, numbers and {functions}, as in "
    "`fiscal_revenue / fiscal_expenditure` or `growth(gdp_real)`. `lag` is the value of the year before, `diff` the "
    "change since, `growth` the change of the logarithm, `detrend` the deviation from a straight line through all "
    'years. A header with brackets or blanks goes into backticks, which YAML wants in quotes: `` "`GDP(亿元)` / '
    'population" ``.',
    "A **name** consists of letters of any script, digits and `_`, and does not begin with a digit.",
    "A key that is set must have a meaning in at least one of the cells that set it; else it is refused by name, see "
    "the column *only for*. A job that inherits such a key writes `null`, which sets nothing and is never an error.",
    "Unknown keys are refused, with the key that was probably meant. An empty list means none; lists name nothing "
    "twice.",
)
_MISSING = (
    "In a number column, missing are the empty cell and, capitals or not, {marks}. Other codes are declared by "
    "`missing:`; values of nines that stand out are reported as a warning."
)
_LIMITS = (
    "Checked before any work: {terms} controls or regressors, event years from -{years} to {years}, strata and "
    "distance of at most {classes} classes, {names} entries of any other list or mapping, {cells} cells, {draws} draws "
    "of all cells and terms, text of {characters} characters without control characters or line breaks. A job is not "
    "called `report.html` or `tables.docx`, which lie beside its folder, nor as Windows calls devices."
)


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


def key_reference(words: Words = ENGLISH) -> str:
    """The whole page, in the language of the words."""
    whole = Job.model_json_schema()
    blocks: dict[str, Node] = {**whole["$defs"], "": whole}
    sections = {section.name: section for section in _sections(blocks, Section("", _FILE, ""), set())}
    page = _Page(words, sections)
    tables = [page.section(section, blocks[section.name]) for section in sections.values()]
    return "\n".join([page.rules(), *tables, page.missing_values(), page.limits()])


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


@dataclass(frozen=True)
class _Page:
    """The page in a language."""

    words: Words
    sections: Mapping[str, Section]

    def rules(self) -> str:
        words = self.words
        rules = [f"- {words(rule, functions=_marked(FUNCTIONS))}" for rule in _RULES]
        return "\n".join([f"# {words('Keys of a job file')}", "", words(_ORIGIN), "", *rules, ""])

    def missing_values(self) -> str:
        marks = _marked([*MISSING_WORDS, *MISSING_SIGNS])
        return f"## {self.words('Missing values')}\n\n{self.words(_MISSING, marks=marks)}\n"

    def limits(self) -> str:
        limits = self.words(
            _LIMITS,
            terms=block.MOST_TERMS,
            years=block.MOST_EVENT_YEARS,
            classes=f"{block.MOST_CLASSES:,}",
            names=f"{block.MOST_NAMES:,}",
            cells=f"{sizes.MOST_CELLS:,}",
            draws=f"{sizes.MOST_DRAWS:,}",
            characters=f"{MOST_TEXT:,}",
        )
        return f"## {self.words('Limits')}\n\n{limits}\n"

    def section(self, section: Section, node: Node) -> str:
        words, condition = self.words, condition_of(section.path)
        for_block = condition.text if condition and condition is not ALWAYS else ""
        rows = [self._row(section, key, node, for_block) for key in node["properties"]]
        if not section.path:
            extends = self._described(schema()["properties"]["extends"]["description"])
            paths = f"{words('path')}{words(' or ')}{words('list: {item}', item=words('path'))}"
            rows.insert(1, ("`extends`", paths, "", "", extends))
        heads = tuple(map(words.known, ("key", "values", "default", "only for", "meaning")))
        rows = [heads, ("---",) * 5, *rows]
        if not any(row[3] for row in rows[2:]):
            rows = [(*row[:3], row[4]) for row in rows]
        lines = [f"| {' | '.join(row)} |".replace("|  |", "| |").replace("|  |", "| |") for row in rows]
        heading = f"## `{section.heading}`" if section.path else f"## {words.known(section.heading)}"
        about = self._described(node["description"])
        if for_block:
            about += words(" Only for {jobs}.", jobs=self._text(for_block))
        return "\n".join([heading, "", about, "", *lines, ""])

    def _row(self, section: Section, key: str, node: Node, for_block: str) -> tuple[str, ...]:
        about = node["properties"][key]
        condition = condition_of(f"{section.path}.{key}".lstrip("."))
        only = condition.text if condition and condition is not ALWAYS and condition.text != for_block else ""
        default = self.words("required") if key in node.get("required", []) else _default(about)
        described = self._described(about.get("description", ""))
        return f"`{key}`", self._values(about), default, self._text(only), described

    def _values(self, node: Node) -> str:
        """Return the values that a key can have."""
        words = self.words
        if "$ref" in node:
            heading = self.sections[node["$ref"].removeprefix(_REF)].heading
            anchor = "".join(letter for letter in heading if letter.isalnum() or letter in "_-")
            return f"[{words('block')}](#{anchor})"
        if "anyOf" in node or "oneOf" in node:
            arms = node.get("anyOf", node.get("oneOf"))
            return words.in_context(" or ", "kinds of values").join(
                dict.fromkeys(self._values(arm) for arm in arms if arm.get("type") != "null")
            )
        if "enum" in node or "const" in node:
            return _marked(node.get("enum", [node.get("const")]))
        if "prefixItems" in node:
            return f"[{', '.join(map(self._values, node['prefixItems']))}]"
        match node.get("type"):
            case "array":
                return words("list: {item}", item=self._values(node["items"]))
            case "object":
                return self._mapping(node)
            case "boolean":
                return "`true`, `false`"
            case "integer" | "number" as kind:
                return self._range(words.known(kind), node)
            case "string":
                return words.known(str(_PATTERNS.get(node.get("pattern", ""), node.get("format", "text"))))
        return words("any value")

    def _mapping(self, node: Node) -> str:
        name, values = next(iter(node.get("patternProperties", {}).items()), ("", None))
        values = values or node.get("additionalProperties")
        item = self._values(values) if isinstance(values, dict) else self.words("any value")
        return self.words(
            "mapping: {name} to {item}", name=self.words.known(_PATTERNS.get(name, "text")), item=item
        )

    def _range(self, kind: str, node: Node) -> str:
        """Return a number with its limits; without those of a year, which no year reaches."""
        least, above = node.get("minimum"), node.get("exclusiveMinimum")
        if least == -9999 or (least is None and above is None):
            return kind
        if least is None:
            kind = self.words("{kind} above {least}", kind=kind, least=_limit(node["exclusiveMinimum"]))
        else:
            kind = self.words("{kind} from {least}", kind=kind, least=_limit(least))
        if "maximum" in node:
            return self.words("{kind} to {most}", kind=kind, most=_limit(node["maximum"]))
        if "exclusiveMaximum" in node:
            return self.words("{kind} below {most}", kind=kind, most=_limit(node["exclusiveMaximum"]))
        return kind

    def _described(self, text: str) -> str:
        """A description as a cell of a Markdown table holds it."""
        plain = self._text(" ".join(text.replace("``", "`").split()))
        return plain.replace("|", "\\|").replace("<", "&lt;")

    def _text(self, text: str) -> str:
        """A text of the models in the language."""
        return self.words.known(worded_text(text, self.words.lang)) if text else ""


def _default(about: Node) -> str:
    """Return the default; empty for blocks, and where the description says what the absence of a key means."""
    default = about.get("default")
    if default in (None, "", {}, []) or _block_of(about)[0]:
        return ""
    return f"`{json.dumps(default, ensure_ascii=False)}`".replace('"', "")


def _limit(number: float) -> str:
    """A whole number without a point: versions of pydantic give limits as written, or as the field's type has them."""
    return "2^64" if number == 2**64 else f"{int(number) if number == int(number) else number:,}"


def _marked(texts: Iterable[object]) -> str:
    return ", ".join(f"`{text}`" for text in texts)
