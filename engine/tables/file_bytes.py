"""The bytes of a file, read once: what is parsed and what is hashed are the same."""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError
from engine.tables import limits

_SHOWN = 120  # characters of a path in messages
_NOT_A_FILE = {
    stat.S_ISDIR: ("this is a folder, not a table", "name the file"),
    stat.S_ISFIFO: ("this is a pipe, not a file", "save what it gives to a file"),
    stat.S_ISSOCK: ("this is a socket, not a file", "name a file"),
    stat.S_ISCHR: ("this is a device, not a file", "name a file"),
    stat.S_ISBLK: ("this is a device, not a file", "name a file"),
}
_GZIP = b"\x1f\x8b"
_KINDS = (
    (b"PK\x03\x04", "a workbook or another ZIP archive", "name it .xlsx if it is a workbook, else unpack it"),
    (b"\xd0\xcf\x11\xe0", "a workbook of old Excel", "name it .xls"),
    (b"PAR1", "a Parquet file", "name it .parquet"),
    (b"<stata_dta>", "a Stata file", "name it .dta"),
    (_GZIP, "compressed", "add .gz to its name"),
)


@dataclass(frozen=True)
class FileBytes:
    """Content of a file at one moment.

    Attributes
    ----------
    path : Path
    content : bytes
    sha256 : str
        Of the content.
    """

    path: Path
    content: bytes
    sha256: str

    @property
    def label(self) -> str:
        """The path, shortened, for messages."""
        return shown(self.path)


def shown(path: Path) -> str:
    """A path as messages show it: no control characters, and the middle of a very long one left out."""
    text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in str(path))
    return text if len(text) <= 2 * _SHOWN else f"{text[:_SHOWN]}...{text[-_SHOWN:]}"


def read_bytes(path: Path) -> FileBytes:
    """The bytes of an ordinary file and their sha256; raises InputError for anything else.

    The file is opened once, so that a file put in its place meanwhile is not mixed with it, and without
    waiting, so that a pipe without a writer is refused and not waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError):
        remedy = "check the path; it is relative to the job file"
        raise InputError("there is no such file", where=shown(path), remedy=remedy) from None
    except (OSError, ValueError) as error:  # a name too long, a loop of links, a NUL in the name, no right
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot be opened ({reason})", where=shown(path), remedy="check the path"
        ) from error
    try:
        status = os.fstat(descriptor)
        for is_kind, (problem, remedy) in _NOT_A_FILE.items():
            if is_kind(status.st_mode):
                raise InputError(problem, where=shown(path), remedy=remedy)
        limits.check_file_bytes(path, status.st_size)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(limits.FILE_BYTES + 1)
    except OSError as error:
        remedy = "check the disk or the network it lies on"
        raise InputError(f"cannot be read ({error.strerror})", where=shown(path), remedy=remedy) from error
    finally:
        os.close(descriptor)
    limits.check_file_bytes(path, len(content))
    if not content:
        raise InputError("the file is empty", where=shown(path))
    return FileBytes(path, content, hashlib.sha256(content).hexdigest())


def refuse_other_kind(content: bytes, *, source: str) -> None:
    """Raises InputError for the content of a text file that is no text by its first bytes."""
    for first_bytes, kind, remedy in _KINDS:
        if content.startswith(first_bytes) and (first_bytes != b"PAR1" or content.endswith(first_bytes)):
            raise InputError(f"this is no text, it is {kind}", where=source, remedy=remedy)


def decompressed(file: FileBytes) -> bytes:
    """The text in a ``.gz`` file, all members of it; raises InputError where it is damaged or expands too far."""
    max_bytes = limits.expanded_bytes(len(file.content))
    parts, size, compressed = [], 0, file.content
    while compressed.strip(b"\0"):  # tar and dd pad with NUL
        member = zlib.decompressobj(wbits=31)
        try:
            part = member.decompress(compressed, max_bytes + 1 - size)
        except zlib.error as error:
            raise damaged_gz(file, error) from error
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            raise InputError(
                f"it decompresses to more than {max_bytes:,} bytes; that is the limit for a file of its size",
                where=file.label,
                remedy="decompress it yourself and name the .csv, or save it as Parquet",
            )
        if not member.eof:
            raise damaged_gz(file, "it ends too early")
        compressed = member.unused_data
    return b"".join(parts)


def damaged_gz(file: FileBytes, reason: object) -> InputError:
    if not file.content.startswith(_GZIP):
        return InputError("it is not compressed", where=file.label, remedy="take .gz off its name")
    return InputError(
        f"cannot be read ({reason})", where=file.label, remedy="get the whole file again; it is damaged"
    )
