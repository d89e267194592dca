"""How the jobs of one command ended: one that fails is reported, the next one runs, and the exit code tells."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine import terminal
from engine.errors import InputError, RunError
from engine.runtime.files import STATE
from engine.runtime.tracebacks import keep_traceback

if TYPE_CHECKING:
    from engine.pipeline import Results


class JobsFailed(Exception):
    """The command is through, and not all went well; messages have been printed."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Outcomes:
    """Exit code of a command of several jobs.

    Parameters
    ----------
    out : Path or None
        Where results go; tracebacks of unexpected errors are kept in ``.dyadid`` there.
    """

    def __init__(self, out: Path | None) -> None:
        self._folder = out / STATE if out is not None else None
        self._codes: list[int] = []
        self.any_done = False

    @contextmanager
    def of(self, path: Path) -> Iterator[None]:
        """A job, or the page: wrong input and unexpected errors end it alone, others end the command.

        A lost cluster or a full disk (`RunError`, `OSError`) would end the next job too.
        """
        try:
            yield
            self.any_done = True
        except InputError as error:
            self._failed(error.labelled, 2)
        except (RunError, OSError):
            raise
        except Exception as error:
            self._failed(f"failed: {path}: {unexpected(error, self._folder)}", 1)

    def undrawn(self, results: Results) -> None:
        """Figures that could not be drawn: the numbers are there, the exit code is 1."""
        for problem in results.undrawn:
            self._failed(f"failed: {results.folder}: {problem}", 1)

    def notice(self, error: Exception) -> None:
        """A job of a folder that could not be reported, or not in whole."""
        self._failed(error.labelled, 2) if isinstance(error, InputError) else self._failed(
            f"failed: {error}", 1
        )

    def page_notice(self, error: Exception) -> None:
        """The same of a job that this command did not run: a warning."""
        terminal.err.print(f"warning: not in the report: {error}")

    def end(self) -> None:
        """Raise `JobsFailed` unless all went well: 1 where anything failed, 2 where only input was wrong."""
        if self._codes:
            raise JobsFailed(min(self._codes))

    def _failed(self, message: str, code: int) -> None:
        self._codes.append(code)
        terminal.err.print(message, style="red")


def unexpected(error: Exception, folder: Path | None = None) -> str:
    """One line on an error that nobody foresaw, and where its traceback is."""
    path = keep_traceback(error, folder)
    message = (str(error).strip().splitlines() or ["(no message)"])[0][:300]
    traceback_place = f"the traceback is in {path}" if path else "its traceback could not be written anywhere"
    return (
        f"unexpected {type(error).__name__}: {message}\n"
        f"  hint: this is a fault of dyadid or of a library it uses; {traceback_place}; please report it"
    )


def usage_error(error: Exception) -> int | None:
    """2 for what the command-line parser refuses (its message is printed), None for any other error."""
    show = getattr(error, "show", None)
    if show is None:
        return None
    message = io.StringIO()
    show(file=message)
    terminal.err.print(message.getvalue().rstrip("\n"))
    return 2
