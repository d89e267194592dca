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
from engine.runtime.schedule import PassProgress, Schedule, TimedProgress

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress as RichProgress

    from engine.report.language.wording import Words
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
_BAR_SECONDS = 2  # before a pass gets a bar


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
def progress_shown(
    later: float = 0.0, schedule: Schedule | None = None, words: Words | None = None
) -> Iterator[TimedProgress]:
    """A bar for every pass that takes over two seconds; lines, now and then, where nobody watches.

    Both say how long the run, and those after it, will go on; ``later``: what these are expected to take, in seconds;
    ``schedule``: that of the runs before; ``words``: of the run, default English.
    """
    from engine.report.language.wording import ENGLISH

    words = words or ENGLISH
    if not err.is_terminal:
        yield _Lines(words, later, schedule)
        return
    with _shown_bars(words) as bars:
        yield _Bars(bars, words, later, schedule)


class _Bars(TimedProgress):
    """A bar for every pass."""

    def __init__(self, bars: RichProgress, words: Words, later: float, schedule: Schedule | None) -> None:
        super().__init__(later, schedule)
        self._bars, self._words, self._known = bars, words, dict[str, tuple[PassProgress, Any]]()

    def show(self, work: PassProgress, seconds_left: float | None) -> None:
        """The bar of a pass, in place of that of the pass of its label before."""
        known = self._known.get(work.label)
        if known is None or known[0] is not work:
            if known is not None:
                self._bars.remove_task(known[1])
            known = self._known[work.label] = (
                work,
                self._bars.add_task(visible(self._words.in_context(work.label, "pass")), total=work.n_tasks),
            )
        end = None if seconds_left is None else time.perf_counter() + seconds_left
        self._bars.update(known[1], completed=work.n_done, end=end)


class _Lines(TimedProgress):
    """Progress for a log: a line every half minute, of a pass that takes longer."""

    def __init__(self, words: Words, later: float, schedule: Schedule | None) -> None:
        super().__init__(later, schedule)
        self._words = words
        self._last_line = time.perf_counter()

    def show(self, work: PassProgress, seconds_left: float | None) -> None:
        """A line, where it is time for one."""
        now = time.perf_counter()
        if work.n_done == work.n_tasks or now - self._last_line < _LINE_SECONDS:
            return
        self._last_line = now
        words = self._words
        parts = [words("{done} of {total}", done=f"{work.n_done:,}", total=f"{work.n_tasks:,}")]
        if work.n_computed:
            parts.append(_rate(work.n_computed / (now - work.begun), words))
        if seconds_left is not None:
            parts.append(words("about {time} left", time=words.duration(seconds_left)))
        err.print(f"{words.in_context(work.label, 'pass')}{words(': ')}{words(', ').join(parts)}")


def _rate(per_second: float, words: Words) -> str:
    return words("{rate} a second", rate=f"{per_second:.2g}")


def _shown_bars(words: Words) -> RichProgress:
    """Bars of passes, each from its third second on, with the time that is left counting down between reports."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn

    class Rate(ProgressColumn):
        def render(self, task: Task) -> str:
            return _rate(task.speed, words) if task.speed else ""

    class Left(ProgressColumn):
        def render(self, task: Task) -> str:
            seconds = (task.fields.get("end") or 0.0) - time.perf_counter()
            return words("about {time} left", time=words.duration(seconds)) if seconds > 0 else ""

    class LongPasses(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            yield self.make_tasks_table(
                [task for task in self.tasks if not task.finished and (task.elapsed or 0.0) > _BAR_SECONDS]
            )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        Left(),
    )
    return LongPasses(*columns, console=err, transient=True, get_time=lambda: time.perf_counter())


def announced(opener: Opener, words: Words) -> Opener:
    """An opener that says once where a run computes, and where its workers can be watched."""
    announcements: list[str] = []

    def opened(progress: Progress) -> Machine:
        machine = opener(progress)
        if machine.client is not None and not announcements:
            line = words.note(machine.whereabouts)
            if machine.dashboard:
                line = words("{place}; dashboard: {address}", place=line, address=machine.dashboard)
            announcements.append(line)
            err.print(line, markup=False)
        return machine

    return opened
