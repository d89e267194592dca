"""Files are written whole or not at all: to a temporary neighbour first, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from engine.errors import InputError


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file atomically; a reader sees the old content or the new, never a part."""
    return write_with(path, lambda temporary: temporary.write_bytes(content) and None)


def write_text(path: Path, content: str) -> Path:
    """Write UTF-8 text atomically."""
    return write_bytes(path, content.encode())


def write_with(path: Path, writer: Callable[[Path], object]) -> Path:
    """Let ``writer`` fill a temporary file beside ``path``, then put it in place."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        writer(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def output_folder(path: Path, *, where: str = "--out") -> Path:
    """Create a folder and prove that it can be written, before any work is done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to the output folder {path}: {error.strerror or error}",
            where=where,
            remedy="choose a folder you may write to",
        ) from None
    return path
