"""JSON Schema of a job file, for editors that complete and check while one types."""

from __future__ import annotations

from typing import Any

from engine.spec.applicability import ALWAYS, TABLE_OF_KEYS
from engine.spec.job import Job
from engine.spec.keys import block_at

_DROPPED = ("title", "pattern")


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of what a job file may hold.

    Looser than the models where ``extends`` can supply the rest: only ``job`` is required, and any key may
    be null, which takes an inherited value away.
    """
    whole = _plain(Job.model_json_schema())
    blocks = whole.pop("$defs")
    name = {**whole["properties"]["job"], "description": "names the output folder; never inherited"}
    for block in (whole, *blocks.values()):
        block.pop("required", None)
        block["properties"] = {key: _or_null(value) for key, value in block["properties"].items()}
    _say_where(whole["properties"], blocks)
    file = {"type": "string", "minLength": 1}
    extends = {
        "anyOf": [file, {"type": "array", "items": file}],
        "description": "job file or files this one builds on, relative to this file",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dyadid job",
        "description": "One question: data, pairs, treatment, model, and the variants to run.",
        "type": "object",
        "properties": {**whole["properties"], "job": name, "extends": extends},
        "required": ["job"],
        "additionalProperties": False,
        "$defs": blocks,
    }


def _say_where(whole: dict[str, Any], blocks: dict[str, Any]) -> None:
    """Give every key that only some jobs have the condition that `engine.spec.applicability` states."""
    for path, condition in TABLE_OF_KEYS.items():
        above, _, key = path.rpartition(".")
        block = blocks[block_at(above).__name__]["properties"] if above else whole
        if condition is not ALWAYS:
            described = block[key].get("description")
            text = f"for {condition.text}"
            block[key] |= {
                "description": f"{described}; {text}" if described else text,
                "x-applies-to": condition.text,
            }


def _plain(value: Any) -> Any:
    """Without made-up titles, and without patterns: editors' match ASCII letters only."""
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    schema = {
        key: _plain(entry)
        for key, entry in value.items()
        if not isinstance(entry, str) or key not in _DROPPED
    }
    schema.pop("propertyNames", None)
    by_name = schema.pop("patternProperties", None)
    return {**schema, "additionalProperties": next(iter(by_name.values()))} if by_name else schema


def _or_null(value: dict[str, Any]) -> dict[str, Any]:
    """A property that may be null; so may the entries of a mapping."""
    about: dict[str, Any] = {key: value[key] for key in ("description", "default") if key in value}
    kind = {key: entry for key, entry in value.items() if key not in about}
    if isinstance(kind.get("additionalProperties"), dict):
        kind["additionalProperties"] = _or_null(kind["additionalProperties"])
    arms = [arm for arm in kind.get("anyOf", [kind]) if arm != {"type": "null"}]
    return {**about, "anyOf": [*arms, {"type": "null"}]}
