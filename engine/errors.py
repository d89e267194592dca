"""The two ways a run can end badly: the input is wrong (exit 2), or the run failed (exit 1)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """The input is wrong; the message says what, where, and what to do about it.

    Parameters
    ----------
    problem : str
        One sentence that says what is wrong, with the offending value.
    where : str, optional
        File, column, row or key, e.g. ``"job.yaml: outcome.synchronization"``.
    remedy : str, optional
        What the user can do.
    labels : pair of str
        What a command prints before the message, and what stands before the remedy.
    """

    def __init__(
        self,
        problem: str,
        *,
        where: str | None = None,
        remedy: str | None = None,
        labels: tuple[str, str] = ("error: ", "hint: "),
    ) -> None:
        self.problem, self.where, self.remedy, self.labels = problem, where, remedy, labels
        text = f"{where}: {problem}" if where else problem
        super().__init__(f"{text}\n  {labels[1]}{remedy}" if remedy else text)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.problem, self.where, self.remedy, self.labels)

    def at(self, where: str) -> InputError:
        """The error at another place: one that also says in which job or cell."""
        return InputError(self.problem, where=where, remedy=self.remedy, labels=self.labels)

    @property
    def labelled(self) -> str:
        """The message as a command prints it."""
        return f"{self.labels[0]}{self}"


def _rebuild(problem: str, where: str | None, remedy: str | None, labels: tuple[str, str]) -> InputError:
    return InputError(problem, where=where, remedy=remedy, labels=labels)


class RunError(RuntimeError):
    """The run could not be finished although the input looks right; the message says how to go on.

    Parameters
    ----------
    message : str
    label : str
        What a command prints before the message.
    """

    def __init__(self, message: str, label: str = "failed: ") -> None:
        self.label = label
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return RunError, (str(self), self.label)

    @property
    def labelled(self) -> str:
        """The message as a command prints it."""
        return f"{self.label}{self}"


@contextmanager
def readable(path: Path | str, *, remedy: str) -> Iterator[None]:
    """A boundary around one file: whatever its reader raises ends in an `InputError` that names the file.

    Libraries raise nearly anything on a damaged file; a list of their exceptions is never complete. The cause is
    logged with its traceback and chained.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        logging.getLogger("engine").debug("cannot read %s", path, exc_info=True)
        raise InputError(f"cannot be read ({described(error)})", where=str(path), remedy=remedy) from error


def described(error: BaseException) -> str:
    """Kind and message of an error in one line; the message alone where it is a sentence.

    >>> described(KeyError("word/document.xml")), described(ValueError("File is not whole")), described(MemoryError())
    ("KeyError: 'word/document.xml'", 'File is not whole', 'MemoryError')
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    text = lines[0][:300]
    return text if " " in text else f"{type(error).__name__}: {text}"
