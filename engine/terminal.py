"""Progress on the terminal while the command works, and the folder of compiled kernels.

Nothing that is shown can stop a computation: text that the terminal cannot show is replaced, and when the reader of
standard output has left, or the disk behind it is full, the work goes on without it (`Stream`).
"""

from __future__ import annotations

import errno
import gc
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from rich.console import Console

from engine.characters import encodable, visible
from engine.runtime.schedule import TimedProgress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from engine.runtime.clusters import Opener
    from engine.runtime.execute import Machine, Progress

_COLLECTED_AFTER = 100_000
"""Containers made before unreachable cycles are looked for: modules are none, and arrays are freed without that."""


class Stream:
    """Standard output or standard error of this process as a file that never raises.

    Attributes
    ----------
    lost : OSError or ValueError or None
        Why nothing is written any more, once writing has failed.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.lost: OSError | ValueError | None = None

    @property
    def encoding(self) -> str:
        return getattr(self._file, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        try:
            return bool(self._file is not None and self._file.isatty())
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        if self._file is None:
            raise OSError(errno.EBADF, "closed")
        return self._file.fileno()

    def write(self, text: str) -> int:
        self._attempt(lambda file: file.write(encodable(text, self.encoding)))
        return len(text)

    def flush(self) -> None:
        self._attempt(lambda file: file.flush())

    def prepare(self) -> None:
        """Begin anew, and let what libraries write to the file themselves fail as little as what we write."""
        self.lost = None
        with suppress(AttributeError, OSError, ValueError):
            self._file.reconfigure(errors="replace")  # type: ignore[union-attr]

    @property
    def reader_left(self) -> bool:
        """Whether writing failed because nobody reads on (``| head``)."""
        return isinstance(self.lost, BrokenPipeError)

    @property
    def _file(self) -> IO[str] | None:
        """The file as it is now: while a bar is shown, rich puts one of its own in its place."""
        file: IO[str] | None = getattr(sys, self._name)
        return getattr(file, "rich_proxied_file", file)

    def _attempt(self, action: Callable[[IO[str]], object]) -> None:
        file = self._file
        if file is None or self.lost is not None:
            return
        try:
            action(file)
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            self.lost = error
            with suppress(
                OSError, ValueError
            ):  # what is still in the buffer must not fail once more at the end
                os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())


class Screen(Console):
    """A console that shows text as it stands: no markup, no emoji for ``:names:``, no control characters."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        super().__init__(
            file=cast("IO[str]", stream), highlight=False, soft_wrap=True, markup=False, emoji=False
        )

    def print(self, *objects: object, **options: Any) -> None:
        """As `rich.console.Console.print`, of text made visible."""
        printable = (visible(part) if isinstance(part, str) else part for part in objects)
        super().print(*printable, **{"markup": False, "emoji": False, **options})


out = Screen(Stream("stdout"))
err = Screen(Stream("stderr"))

_LINE_SECONDS = 30  # between lines of progress in a log


def start_sooner() -> None:
    """Leave out of this process's start what takes time and finds nothing."""
    gc.set_threshold(_COLLECTED_AFTER)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to find some, it reads all packages


def use_compilation_cache() -> None:
    """Compiled kernels are kept between processes; JAX and worker processes read these when they start.

    What the user has set stands. A folder that cannot be written is still read; no run fails over a cache.
    """
    # A kernel that could not be kept, or was kept in part, is compiled again: nothing for the user to do.
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "dyadid" / "jax"
    folder = os.path.expanduser(os.environ.get("JAX_COMPILATION_CACHE_DIR", default))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    off = os.environ.get("JAX_ENABLE_COMPILATION_CACHE", "").lower() in ("0", "false", "no", "off", "n", "f")
    if off or not folder or "://" in folder:  # JAX also knows buckets
        return
    try:
        Path(folder).expanduser().mkdir(parents=True, exist_ok=True)  # RuntimeError where there is no home
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:
        err.print(
            f"warning: compiled kernels cannot be kept in {folder} ({getattr(error, 'strerror', error)}); "
            "set JAX_COMPILATION_CACHE_DIR to a folder that can be written",
            markup=False,
        )
        if not os.path.isdir(folder):
            os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = (
            "1e9"  # longer than any: nothing is written
        )
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


@contextmanager
def progress_shown(later: float = 0.0) -> Iterator[TimedProgress]:
    """A bar for every pass that takes over two seconds; lines, now and then, where nobody watches.

    Both say how long the run, and those after it, will go on; ``later``: what these are expected to take, in seconds.
    """
    if not err.is_terminal:
        yield _Lines(later)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _rate(),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with Progress(*columns, console=err, transient=True) as bars:
        yield _Bars(bars, later)


class _Bars(TimedProgress):
    """A bar for every pass that takes over two seconds."""

    def __init__(self, bars: RichProgress, later: float) -> None:
        super().__init__(later)
        self._bars, self._known = bars, dict[str, tuple[Any, float]]()

    def show(self, label: str, n_done: int, n_tasks: int, seconds_left: float | None) -> None:
        """The bar of a pass; one that begins again gets another."""
        label = visible(label)
        if label not in self._known or n_done <= 1:
            task = self._bars.add_task(label, total=n_tasks, visible=False, left="")
            self._known[label] = (task, time.perf_counter())
        task, start = self._known[label]
        is_visible = time.perf_counter() - start > 2 and n_done < n_tasks
        self._bars.update(task, completed=n_done, visible=is_visible, left=_left(seconds_left))


class _Lines(TimedProgress):
    """Progress for a log: a line every half minute, of a pass that takes longer."""

    def __init__(self, later: float) -> None:
        super().__init__(later)
        self._passes: dict[str, tuple[float, int]] = {}
        self._last_line = time.perf_counter()

    def show(self, label: str, n_done: int, n_tasks: int, seconds_left: float | None) -> None:
        """A line, where it is time for one."""
        now = time.perf_counter()
        start, n_first = self._passes.setdefault(label, (now, n_done))
        if n_done == n_tasks:
            del self._passes[label]
        elif now - self._last_line >= _LINE_SECONDS and n_done > n_first:
            self._last_line, rate = now, (n_done - n_first) / (now - start)
            err.print(f"{label}: {n_done:,} of {n_tasks:,}, {rate:.2g} a second, {_left(seconds_left)}")


def _left(seconds: float | None) -> str:
    from engine.report.language.wording import ENGLISH

    return f"about {ENGLISH.duration(seconds)} left" if seconds is not None else ""


def _rate() -> Any:
    """Tasks a second, as a column of a bar."""
    from rich.progress import ProgressColumn, Task

    class Rate(ProgressColumn):
        def render(self, task: Task) -> str:
            return f"{task.speed:.2g} a second" if task.speed else ""

    return Rate()


def announced(opener: Opener) -> Opener:
    """An opener that says once where a run computes, and where its workers can be watched."""
    announcements: list[str] = []

    def opened(progress: Progress) -> Machine:
        machine = opener(progress)
        if machine.client is not None and not announcements:
            from engine.report.language.wording import ENGLISH

            announcements.append(ENGLISH.note(machine.whereabouts))
            dashboard = f"; dashboard: {machine.dashboard}" if machine.dashboard else ""
            err.print(f"{announcements[0]}{dashboard}", markup=False)
        return machine

    return opened
