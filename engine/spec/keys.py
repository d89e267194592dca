"""Dotted keys (``model.controls``): which exist, which was meant, and the one rule of merging.

The rule holds for ``extends``, ``--set``, ``sweep`` and ``cases`` alike: mappings merge key by key, anything
else replaces, an empty mapping replaces too, and null takes away what was there (so the default holds), or
nothing where nothing was there.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from engine.errors import InputError
from engine.spec.block import Block
from engine.spec.job import Job
from engine.spec.plain import Keys, shown

Parts = tuple[str, ...]


def split(key: str) -> Parts:
    """Parts of a dotted key; below ``sweep`` and ``cases.<name>`` the rest is itself one dotted key."""
    head, dot, rest = key.partition(".")
    if dot and head == "sweep":
        return head, rest
    if dot and head == "cases":
        return head, *rest.split(".", 1)
    return tuple(key.split("."))


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid upon ``base``; neither is changed. Null where nothing was inherited stays, see `without_null`."""
    merged = dict(base)
    for key, value in over.items():
        inherited = merged.get(key)
        if value is None and key in merged:
            del merged[key]
        elif value and isinstance(value, dict) and isinstance(inherited, dict):
            merged[key] = merge(inherited, value)
        else:
            merged[key] = value
    return merged


def without_null(value: Any) -> Any:
    """A copy of plain data without the keys that are null: they set nothing, whether or not something was inherited."""
    if isinstance(value, dict):
        return {key: without_null(item) for key, item in value.items() if item is not None}
    return [without_null(item) for item in value] if isinstance(value, list) else value


def assign(data: Mapping[str, Any], parts: Parts, value: Any) -> dict[str, Any]:
    """A copy of ``data`` with ``value`` merged in under the key; null removes the key."""
    head, *rest = parts
    if value is None and head not in data:
        return dict(data)
    if rest:
        below = data.get(head)
        below = below if isinstance(below, dict) else {}
        return {**data, head: assign(below, tuple(rest), value)}
    if value is None:
        return {key: kept for key, kept in data.items() if key != head}
    return merge(data, {head: value})


def check_key(parts: Parts, *, where: str) -> None:
    """Raises InputError, with the nearest key, where no job can hold the key."""
    for depth, part in enumerate(parts):
        known = keys_at(parts[:depth])
        if known is None:
            above = ".".join(parts[:depth])
            raise InputError(f"'{above}' is a value and holds no key '{part}'", where=where)
        if known and part not in known:
            raise InputError(unknown_key(part, known), where=where)


def keys_at(parts: Iterable[str | int], model: type[Block] = Job) -> list[str] | None:
    """Keys a block of a job (or of ``model``) may hold; empty where the user chooses the names, None below a value."""
    kind: Any = model
    for part in parts:
        kind = _container(kind)
        if isinstance(kind, type) and issubclass(kind, Block):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else None
        else:
            kind = get_args(kind)[-1] if kind else None
    kind = _container(kind)
    if kind is None or get_origin(kind) is list:
        return None
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, Block) else []


def set_keys(data: Any, model: Any = Job, *, keys: Keys = (), path: str = "") -> Iterator[tuple[Keys, str]]:
    """Every key that plain data set, blocks before what is in them, with its path in the model.

    The path leaves out names that the user chooses and places in lists: ``controls.edu.sum`` is ``controls.sum``.
    Null, and an empty mapping, set nothing.
    """
    kind = _container(model)
    if isinstance(data, list) and get_origin(kind) is list:
        for number, item in enumerate(data):
            yield from set_keys(item, get_args(kind)[0], keys=(*keys, number), path=path)
    if not isinstance(data, Mapping):
        return
    is_block = isinstance(kind, type) and issubclass(kind, Block)
    for key, value in data.items():
        if value is None or value == {}:
            continue
        field = kind.model_fields.get(key) if is_block else None
        below = field.annotation if field else get_args(kind)[-1] if get_origin(kind) is dict else None
        named = f"{path}.{key}".lstrip(".") if is_block else path
        if is_block:
            yield (*keys, key), named
        yield from set_keys(value, below, keys=(*keys, key), path=named)


def block_at(path: str) -> type[Block]:
    """The class of the block that stands under a path of `every_path`."""
    model: Any = Job
    for part in path.split("."):
        model = _container(model.model_fields[part].annotation)
    assert issubclass(model, Block)
    return model


def every_path(model: type[Block] = Job, above: str = "") -> Iterator[str]:
    """Every key of the schema by its path, blocks before what is in them."""
    for name, field in model.model_fields.items():
        path = f"{above}.{name}".lstrip(".")
        yield path
        annotation: Any = field.annotation
        kind = _container(annotation)
        while get_origin(kind) in (list, dict):
            kind = _container(get_args(kind)[-1])
        if isinstance(kind, type) and issubclass(kind, Block):
            yield from every_path(kind, path)


def unknown_key(key: str, known: list[str]) -> str:
    """The message for a key that is not among the known ones."""
    key = shown(key)
    near = difflib.get_close_matches(key, known, n=1)
    hint = f", did you mean '{near[0]}'?" if near else f"; known here: {', '.join(known)}"
    return f"unknown key '{key}'{hint}"


@lru_cache(maxsize=1024)
@cache
def _container(kind: Any) -> Any:
    """The block, mapping or list of blocks within an annotation, None for plain values."""
    if get_origin(kind) in (Union, UnionType, Annotated):
        return next((found for arm in get_args(kind) if (found := _container(arm))), None)
    if get_origin(kind) is list:
        return kind if _container(get_args(kind)[0]) else None
    if get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, Block)):
        return kind
    return None
