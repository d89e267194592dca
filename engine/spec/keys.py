"""Dotted keys (``model.controls``): which exist, which was meant, and the one rule of merging.

The rule holds for ``extends``, ``--set``, ``sweep`` and ``cases`` alike: mappings merge key by key, anything
else replaces, an empty mapping replaces too, and null takes away what was there (so the default holds), or
nothing where nothing was there.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from engine.errors import InputError
from engine.spec.block import Block
from engine.spec.job import Job
from engine.spec.plain import Keys, half_width, shown

Parts = tuple[str, ...]
EVERY_KEY = Block.keys_listed
"""A remedy where no single key is meant."""


def split(key: str) -> Parts:
    """Parts of a dotted key; below ``sweep`` and ``cases.<name>`` the rest is itself one dotted key."""
    head, dot, tail = key.partition(".")
    if dot and head == "sweep":
        return head, tail
    if dot and head == "cases":
        return head, *tail.split(".", 1)
    return tuple(key.split("."))


def merge(base: Mapping[str, object], override: Mapping[str, object]) -> dict[str, object]:
    """``override`` upon ``base``; neither is changed. Null stays where nothing was inherited, see `without_null`."""
    merged = dict(base)
    for key, value in override.items():
        inherited = merged.get(key)
        if value is None and key in merged:
            del merged[key]
        elif value and isinstance(value, dict) and isinstance(inherited, dict):
            merged[key] = merge(inherited, value)
        else:
            merged[key] = value
    return merged


def without_null(value: object) -> Any:
    """A copy of plain data without the keys that are null: they set nothing, whether or not something was inherited."""
    if isinstance(value, dict):
        return {key: without_null(entry) for key, entry in value.items() if entry is not None}
    return [without_null(entry) for entry in value] if isinstance(value, list) else value


def assign(document: Mapping[str, object], parts: Parts, value: object) -> dict[str, object]:
    """A copy of ``document`` with ``value`` merged in under the key; null removes the key."""
    head, *tail = parts
    if value is None and head not in document:
        return dict(document)
    if tail:
        block = document.get(head)
        if isinstance(block, list):
            raise InputError(
                f"'{head}' is a list here, of which no entry has a key '{tail[0]}' to itself",
                where=".".join(parts),
                remedy=f"set {head} as a whole",
            )
        block = block if isinstance(block, dict) else {}
        return {**document, head: assign(block, tuple(tail), value)}
    if value is None:
        return {key: entry for key, entry in document.items() if key != head}
    return merge(document, {head: value})


def flatten(value: object, key: str) -> Iterator[tuple[str, object]]:
    """Plain values in nested mappings by their dotted keys; an empty mapping below a key is a plain value."""
    if isinstance(value, dict) and (value or not key):
        for name, entry in value.items():
            yield from flatten(entry, f"{key}.{name}".lstrip("."))
    else:
        yield key, value


def check_key(parts: Parts, *, where: str) -> None:
    """Raises InputError, with the nearest key, where no job can hold the key."""
    for depth, part in enumerate(parts):
        valid_keys = keys_at(parts[:depth])
        if valid_keys is None:
            block = ".".join(parts[:depth])
            problem = f"'{block}' is a value and holds no key '{part}'"
            raise InputError(problem, where=where, remedy=EVERY_KEY)
        if valid_keys and part not in valid_keys:
            raise InputError(unknown_key(part, valid_keys), where=where, remedy=EVERY_KEY)


def keys_at(parts: Iterable[str | int], model: type[Block] = Job) -> list[str] | None:
    """Keys a block of a job (or of ``model``) may hold; empty where the user chooses the names, None below a value."""
    kind: object = model
    for part in parts:
        kind = _container(kind)
        if isinstance(part, int) and isinstance(kind, type):
            continue  # a place in a list of blocks, where one block may stand alone too
        if isinstance(kind, type) and issubclass(kind, Block):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else None
        else:
            kind = get_args(kind)[-1] if kind else None
    kind = _container(kind)
    if kind is None or get_origin(kind) is list:
        return None
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, Block) else []


def described_key(keys: Keys, model: type[Block]) -> str | None:
    """The key of a block that holds a value, with its description; None where it has none, or holds a block."""
    kind: object = model
    description, name = None, ""
    for key in keys:
        kind = _container(kind)
        if isinstance(kind, type) and issubclass(kind, Block):
            if isinstance(key, int):
                continue
            field = kind.model_fields.get(key)
            if field is None:
                return None
            description, name, kind = field.description, key, field.annotation
        else:
            kind = get_args(kind)[-1] if kind else None
    held = _container(kind)
    is_block = isinstance(held, type) and issubclass(held, Block)
    return f"{name}: {description}" if description and not is_block else None


def set_keys(document: object, model: object = Job) -> list[tuple[Keys, str]]:
    """Every key that plain data set, blocks before what is in them, with its path in the model.

    The path leaves out names that the user chooses and places in lists: ``controls.edu.sum`` is ``controls.sum``.
    Null sets nothing, nor does an empty mapping but where it makes a block with its defaults, ``permutation: {}``.
    """
    keys_set: list[tuple[Keys, str]] = []
    _gather_keys(document, model, (), "", keys_set)
    return keys_set


def _gather_keys(
    document: object, model: object, keys: Keys, path: str, keys_set: list[tuple[Keys, str]]
) -> None:
    """Append the keys below ``keys`` to ``keys_set``; plain values have none."""
    kind = _container(model)
    if isinstance(document, list):
        entry_type = (
            get_args(kind)[0] if get_origin(kind) is list else kind if isinstance(kind, type) else None
        )
        for number, entry in enumerate(document if entry_type is not None else ()):
            if isinstance(entry, list | dict):
                _gather_keys(entry, entry_type, (*keys, number), path, keys_set)
    elif isinstance(document, Mapping):
        if isinstance(kind, type) and issubclass(kind, Block):
            layout = _layout(kind, path)
            for key, value in document.items():
                child_path, child_type, is_made = layout[key]
                if value is None or (value == {} and not is_made):
                    continue
                keys_set.append(((*keys, key), child_path))
                if child_type is not None and isinstance(value, list | dict):
                    _gather_keys(value, child_type, (*keys, key), child_path, keys_set)
        elif get_origin(kind) is dict:
            of_names = get_args(kind)[-1]
            for key, value in document.items():
                if value and isinstance(value, list | dict):
                    _gather_keys(value, of_names, (*keys, key), path, keys_set)


@cache
def _layout(block: type[Block], path: str) -> Mapping[str, tuple[str, object, bool]]:
    """The path of each key of a block under ``path``, the blocks that it holds, and whether it makes one.

    The blocks are None for keys of plain values; a key makes a block where there is none without it.
    """
    prefix = f"{path}." if path else ""
    layout = {}
    for name, field in block.model_fields.items():
        annotation: Any = field.annotation
        child = _container(annotation)
        is_block = isinstance(child, type) and issubclass(child, Block)
        layout[name] = (f"{prefix}{name}", child, is_block and field.default is None)
    return layout


def block_at(path: str) -> type[Block]:
    """The class of the block that stands under a path of `every_path`."""
    model: type[Block] = Job
    for part in path.split("."):
        annotation: object = model.model_fields[part].annotation
        model = _container(annotation)
    return model


def every_path(model: type[Block] = Job, prefix: str = "") -> Iterator[str]:
    """Every key of the schema by its path, blocks before what is in them."""
    for name, field in model.model_fields.items():
        path = f"{prefix}.{name}".lstrip(".")
        yield path
        annotation: object = field.annotation
        kind = _container(annotation)
        while get_origin(kind) in (list, dict):
            kind = _container(get_args(kind)[-1])
        if isinstance(kind, type) and issubclass(kind, Block):
            yield from every_path(kind, path)


def unknown_key(key: str, valid_keys: list[str]) -> str:
    """The message for a key that is not among the known ones."""
    key = shown(key)
    near = difflib.get_close_matches(key, valid_keys, n=1)
    hint = f", did you mean '{near[0]}'?" if near else f"; known here: {', '.join(valid_keys)}"
    signs = half_width(key)
    return f"unknown key '{key}'{hint}" + (f"; {signs}" if signs else "")


@cache
def _container(kind: object) -> Any:
    """The block, mapping or list of blocks within an annotation, None for plain values."""
    if get_origin(kind) in (Union, UnionType, Annotated):
        return next((container for arm in get_args(kind) if (container := _container(arm))), None)
    if get_origin(kind) is list:
        return kind if _container(get_args(kind)[0]) else None
    if get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, Block)):
        return kind
    return None
