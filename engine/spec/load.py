"""Job files: finding them, merging what they extend and what the command line sets, checking the whole.

A key lies upon another in this order: the files of ``extends`` (left to right), the file itself, overrides.
The name (``job``) is never inherited: two jobs of one name would write into one folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from engine.spec.data_frames import FRAME, frame_tables, plain, with_frames
from engine.spec.job import Job
from engine.spec.keys import Parts, assign, check_key, flatten, merge, split, without_null
from engine.spec.paths import checked_path, real_path
from engine.spec.strict_yaml import MAX_BYTES, parse_yaml, read_mapping
from engine.spec.validate import Keys, validate

if TYPE_CHECKING:
    from engine.tables.read import FileTable

_MAX_CHAIN, _MAX_FILES = 20, 200
_COMMAND_LINE = "--set"
_SOURCES = ("panel.source", "panel.join.source", "panel.links.source", "pair_table.source")
_CHINESE = re.compile("zh|ch|cn|\u4e2d", re.IGNORECASE)  # how the names of Chinese begin
_IN_PROGRAM = Path("job")  # how messages call a job that is no file


@dataclass(frozen=True)
class LoadedJob:
    """A job as written, in a file or as plain data, with ``extends`` and overrides merged in.

    Attributes
    ----------
    job : Job
        With its sweep and cases; sources are absolute paths, or builtin.
    path, folder : Path
        The job file and where it lies; of plain data a name for messages, and the working folder.
    hashes : mapping of str to str
        sha256 of every file read, by its path relative to ``folder``.
    sources : mapping of str to str
        Absolute source: source as written.
    data : mapping
        What ``job`` was validated from.
    written_in : mapping of keys to str
        The file that wrote each key.
    frames : mapping of str to FileTable
        Data frames by the source that stands for each, ``frame:NAME``.
    """

    job: Job
    path: Path
    folder: Path
    hashes: Mapping[str, str]
    sources: Mapping[str, str] = field(repr=False)
    data: Mapping[str, object] = field(repr=False)
    written_in: Mapping[Keys, str] = field(repr=False)
    frames: Mapping[str, FileTable] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class _Layer:
    """One file with everything it extends."""

    data: Mapping[str, object]
    written_in: Mapping[Keys, str]
    sources: Mapping[str, str]
    digest: str = ""


def find_jobs(paths: Sequence[Path]) -> list[Path]:
    """Job files among files and folders, each once; a folder gives its ``*.yaml`` and ``*.yml``, sorted.

    Subfolders are searched too, hidden files and folders are not.

    Raises
    ------
    InputError
        Where a path does not exist or a folder holds no job file.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if not real_path(path, where="JOB").exists():
            raise InputError("no such file or folder", where=str(path), remedy="check the path")
        job_files = sorted(_yaml_files(path)) if path.is_dir() else [path]
        if not job_files:
            raise InputError("no job file (*.yaml, *.yml) in this folder", where=str(path))
        files += job_files
    if not files:
        raise InputError("no job file is named", remedy="name a file or a folder")
    once: dict[Path, Path] = {}
    for path in files:
        once.setdefault(real_path(path, where=str(path)), path)
    return list(once.values())


def load_job(
    origin: str | Path | Mapping[str, object],
    *,
    overrides: Sequence[str] = (),
    frames: Mapping[str, object] | None = None,
) -> LoadedJob:
    """Read a job, merge what it extends, apply overrides, and validate the whole.

    Parameters
    ----------
    origin : path of a YAML file, or the mapping that one would hold
        In a mapping paths are relative to the working folder.
    overrides : sequence of str
        ``"dotted.key=value"``, the value in YAML; a sweep over an overridden key is dropped, so the key has
        the one value. A source given here is relative to the working folder.
    frames : mapping of str to data frame, optional
        ``panel`` and ``pair_table`` take the place of that block's source; any other name is that of a table that
        the job calls ``frame:NAME``.

    Raises
    ------
    InputError
        Naming the file and the line or key, for anything that is wrong in any of the files.
    """
    layers: dict[Path, _Layer] = {}
    if isinstance(origin, Mapping):
        path, folder = _IN_PROGRAM, Path.cwd()
        whole = _merged(plain(origin), folder / path, chain=(), layers=layers, name=str(path))
    else:
        path = Path(origin)
        folder = path.parent.resolve()
        whole = _read(path, chain=(), layers=layers)
    document, written_in, sources = dict(whole.data), dict(whole.written_in), dict(whole.sources)
    for text in overrides:
        parts, value = _parse_override(text, sources)
        refuse_undone(parts, value, document, where=f"{_COMMAND_LINE} {'.'.join(parts)}")
        document = without_sweep_of(".".join(parts), assign(document, parts, value))
        written_in |= dict.fromkeys(_every_key(value, parts), _COMMAND_LINE)
    document = with_frames(document, frames or {}, sources, where=str(path))
    varied = {key: document[key] for key in ("sweep", "cases") if document.get(key) is not None}
    document = {**without_null(document), **varied}
    job = validate(Job, document, file=str(path), written_in=written_in)
    hashes = {_relative(file, folder): layer.digest for file, layer in layers.items()}
    return LoadedJob(job, path, folder, hashes, sources, document, written_in, frame_tables(frames or {}))


def stated_lang(origin: str | Path | Mapping[str, object], overrides: Sequence[str] = ()) -> str:
    """The language that a job asks for, whatever else of it is wrong; ``en`` where none can be made out."""
    for text in reversed(overrides):
        key, _, value = text.partition("=")
        if key.strip() == "lang":
            with suppress(InputError):
                return _language(parse_yaml(value, where=_COMMAND_LINE))
            return _language(value)
    with suppress(InputError, OSError):
        if isinstance(origin, Mapping):
            layer = _merged(
                plain(origin), Path.cwd() / _IN_PROGRAM, chain=(), layers={}, name=str(_IN_PROGRAM)
            )
        else:
            layer = _read(Path(origin), chain=(), layers={})
        return _language(layer.data.get("lang"))
    return _language(None if isinstance(origin, Mapping) else _lang_line(Path(origin)))


def _language(value: object) -> str:
    """The language of a value of ``lang``; one like ``cn`` is refused, in the language that was meant."""
    text = str(value or "en").strip()
    return "zh" if _CHINESE.match(text) else text


def _lang_line(path: Path) -> str | None:
    """``lang`` as a line of its own has it, in a file that is a list or not even YAML."""
    with suppress(OSError, ValueError):
        if path.is_file():  # a pipe would never end
            with path.open("rb") as stream:
                text = stream.read(MAX_BYTES).decode("utf-8-sig", "replace")
            first = re.search(r"^\s*([^\s#])", text, re.MULTILINE)
            indentation = "[- ]*" if first and first[1] == "-" else ""
            line = re.search(rf"^{indentation}lang *[:\uff1a] *['\"]?(\w+)", text, re.MULTILINE)
            return line[1] if line else None
    return None


def _read(path: Path, *, chain: tuple[Path, ...], layers: dict[Path, _Layer]) -> _Layer:
    """The layer of a file; ``layers`` collects every file read, so that none is read twice."""
    real = real_path(path, where=str(path))
    if real in layers:
        return layers[real]
    if len(layers) >= _MAX_FILES:
        raise InputError(f"extends more than {_MAX_FILES} files", where=str(path))
    document, digest = read_mapping(path)
    layers[real] = _merged(document, path, chain=chain, layers=layers, digest=digest)
    return layers[real]


def _merged(
    document: dict[str, object],
    path: Path,
    *,
    chain: tuple[Path, ...],
    layers: dict[Path, _Layer],
    digest: str = "",
    name: str = "",
) -> _Layer:
    """The layer of a document that stands at a path; messages call it ``name``, or by its path."""
    name = name or str(path)
    merged: dict[str, object] = {}
    written_in: dict[Keys, str] = {}
    sources: dict[str, str] = {}
    for base_path in _extended(document.pop("extends", []), path, (*chain, path), name):
        base = _read(base_path, chain=(*chain, path), layers=layers)
        merged = merge(merged, {key: value for key, value in base.data.items() if key != "job"})
        written_in |= {keys: file for keys, file in base.written_in.items() if keys != ("job",)}
        sources |= base.sources
    document = _with_absolute_sources(document, path.parent, sources)
    written_in |= dict.fromkeys(_every_key(document, ()), name)
    return _Layer(merge(merged, document), written_in, sources, digest)


def _extended(extends: object, path: Path, chain: tuple[Path, ...], name: str) -> Iterator[Path]:
    location = f"{name}: extends"
    names = [extends] if isinstance(extends, str) else extends
    if not isinstance(names, list) or not all(isinstance(entry, str) and entry for entry in names):
        raise InputError("must be a file name or a list of file names", where=location)
    if len(set(names)) < len(names):
        raise InputError("names a file twice", where=location, remedy="name each file once")
    for entry in names:
        base = Path(os.path.normpath(path.parent / entry))
        real = real_path(base, where=location)
        if real in [earlier.resolve() for earlier in chain] or len(chain) > _MAX_CHAIN:
            problem = (
                "files extend each other in a circle"
                if len(chain) <= _MAX_CHAIN
                else "too long a chain of files"
            )
            chain_text = " -> ".join(str(file) for file in (*chain, base))
            raise InputError(f"{problem}: {chain_text}", where=location, remedy="take one 'extends' out")
        if not base.is_file():
            remedy = f"'extends' is relative to the file that says it, here {path.parent}"
            raise InputError(f"there is no file {base}", where=location, remedy=remedy)
        yield base


def _with_absolute_sources(
    document: Mapping[str, object], folder: Path, sources: dict[str, str]
) -> dict[str, object]:
    """A copy with absolute sources, in sweeps and cases too; ``sources`` learns what was written."""

    def resolve(value: Any, key: str) -> object:
        if isinstance(value, dict):
            return {name: resolve(entry, f"{key}.{name}".lstrip(".")) for name, entry in value.items()}
        if isinstance(value, list):
            return [resolve(entry, key) for entry in value]
        is_source = key in _SOURCES and isinstance(value, str)
        if not is_source or not value or value.startswith(("builtin:", FRAME)) or "\0" in value:
            return value  # what is no path at all is refused with all other problems
        absolute = os.path.abspath(folder / os.path.expanduser(value))
        sources[absolute] = value
        return absolute

    resolved: dict[str, object] = {}
    for key, value in document.items():
        if key == "cases" and isinstance(value, dict):
            resolved[key] = {name: resolve(case, "") for name, case in value.items()}
        else:
            resolved[key] = resolve(value, "" if key == "sweep" else key)
    return resolved


def _parse_override(text: str, sources: dict[str, str]) -> tuple[Parts, object]:
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        remedy = "write it like model.confidence=0.9"
        raise InputError(f"'{text}' is not of the form key=value", where=_COMMAND_LINE, remedy=remedy)
    parts, location = split(key), f"{_COMMAND_LINE} {key}"
    check_key(parts, where=location)
    parsed = parse_yaml(value, where=location)
    for part in reversed(parts):
        parsed = {part: parsed}
    seen: dict[str, str] = {}
    parsed = _with_absolute_sources(parsed, Path.cwd(), seen)
    _refuse_missing_sources(seen, location)
    sources |= seen
    for part in parts:
        parsed = parsed[part]
    return parts, parsed


def refuse_undone(parts: Parts, value: object, document: Mapping[str, object], *, where: str) -> None:
    """Raises InputError where a case, or a sweep over a block, is laid upon a change of a key and would undo it."""
    cases = document.get("cases")
    key = ".".join(parts)
    leaves = [leaf for leaf, _ in flatten(value, key)]
    sweep = document.get("sweep")
    for swept in sweep if isinstance(sweep, dict) else ():
        if swept != key and f"{key}.".startswith(f"{swept}."):
            raise InputError(
                f"the job sweeps over {swept}, whose values are laid upon it",
                where=where,
                remedy=f"change it in the sweep, or set {swept} as a whole",
            )
    for name, case in cases.items() if isinstance(cases, dict) else ():
        for dotted, _ in flatten(case, "") if isinstance(case, dict) else ():
            if any(_one_within_the_other(dotted, leaf) for leaf in leaves):
                raise InputError(
                    f"the case '{name}' sets {dotted} too, and a case is laid upon the job",
                    where=where,
                    remedy=f"change it in the job, or set cases.{name}.{dotted}",
                )


def _one_within_the_other(first: str, second: str) -> bool:
    return f"{first}.".startswith(f"{second}.") or f"{second}.".startswith(f"{first}.")


def _refuse_missing_sources(sources: Mapping[str, str], location: str) -> None:
    """Paths of the command line are relative to the working folder, not to the job file: say so where it matters."""
    for absolute, as_written in sources.items():
        checked_path(as_written)
        if not real_path(Path(absolute), where=location).exists():
            raise InputError(
                f"there is no file {absolute}",
                where=location,
                remedy=f"'{as_written}' given by --set is relative to the working folder, here {Path.cwd()}",
            )


def without_sweep_of(key: str, document: dict[str, object]) -> dict[str, object]:
    """The document without its sweep over a key, or over keys below it: the key has one value."""
    sweep = document.get("sweep")
    if not isinstance(sweep, dict):
        return document
    remaining = {swept: values for swept, values in sweep.items() if not f"{swept}.".startswith(f"{key}.")}
    return {**document, "sweep": remaining}


def _every_key(value: object, prefix: Keys) -> Iterator[Keys]:
    if prefix:
        yield prefix
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _every_key(entry, (*prefix, key))


def _yaml_files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.endswith((".yaml", ".yml")) and not name.startswith("."):
                yield Path(parent, name)


def _relative(file: Path, folder: Path) -> str:
    return Path(os.path.relpath(file, folder)).as_posix()
