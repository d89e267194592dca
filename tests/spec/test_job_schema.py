"""The schema editors get: says what the models say, and lets ``extends`` supply the rest."""

from __future__ import annotations

from typing import Any

import pytest

from engine.spec import Job, schema
from engine.spec.data import Panel
from engine.spec.design import Gravity
from engine.spec.job import Model
from engine.spec.strict_yaml import parse_yaml


def accepts(value: Any, rule: dict[str, Any], blocks: dict[str, Any]) -> bool:
    """The part of JSON Schema that the job's schema uses, by brute force."""
    if "$ref" in rule:
        return accepts(value, blocks[rule["$ref"].removeprefix("#/$defs/")], blocks)
    if "anyOf" in rule:
        return any(accepts(value, arm, blocks) for arm in rule["anyOf"])
    if "enum" in rule or "const" in rule:
        return value in rule.get("enum", [rule.get("const")])
    kinds = {
        "string": str,
        "array": list,
        "object": dict,
        "null": type(None),
        "boolean": bool,
        "integer": int,
    }
    kind = rule.get("type")
    if kind == "number" and not isinstance(value, int | float):
        return False
    if kind in kinds and not isinstance(value, kinds[kind]):
        return False
    if "items" in rule:
        return all(accepts(item, rule["items"], blocks) for item in value)
    if kind == "object":
        known, others = rule.get("properties", {}), rule.get("additionalProperties", True)
        rules = [(known.get(key, others), item) for key, item in value.items()]
        complete = all(key in value for key in rule.get("required", []))
        return complete and all(r is True or (bool(r) and accepts(item, r, blocks)) for r, item in rules)
    return True


@pytest.fixture
def whole() -> dict[str, Any]:
    return schema()


def test_head(whole: dict[str, Any]) -> None:
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert whole["title"] == "dyadid job"
    assert whole["required"] == ["job"]
    assert set(whole["properties"]) == {*Job.model_fields, "extends"}
    for block in (Gravity, Model, Panel):
        assert set(whole["$defs"][block.__name__]["properties"]) == set(block.model_fields)


def test_accepts_the_two_examples(whole: dict[str, Any], table_1: str, pair_table: str) -> None:
    for text in (table_1, pair_table):
        assert accepts(parse_yaml(text, where="example"), whole, whole["$defs"])


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("{job: a, extends: b.yaml}", True),
        ("{job: a, extends: [b.yaml, c.yaml]}", True),
        ("{job: a, extends: b.yaml, panel: {fill: {max_gap: 2}}, controls: {edu: null}, model: null}", True),
        ("{job: a, controls: {教育: {neg_abs_diff: 教育支出}}}", True),
        ("{extends: b.yaml}", False),
        ("{job: a, modle: {}}", False),
        ("{job: a, model: {ends: bins}}", False),
        ("{job: a, controls: {edu: 3}}", False),
        ("{job: a, extends: 3}", False),
        ("{job: null}", False),
    ],
)
def test_editor_says(text: str, accepted: bool, whole: dict[str, Any]) -> None:
    assert accepts(parse_yaml(text, where="example"), whole, whole["$defs"]) == accepted
