"""Ctrl-C and SIGTERM: one message and exit code 130 or 143, at whatever moment of a command they come.

While a command starts there is nothing to undo, and it ends at once. While it works, `KeyboardInterrupt` takes it
through its own clean-up; not within an import, though, where an exception that passes through the start of a C++
library ends the process with a crash: the signal comes again when the import is done. It also comes again where the
exception was lost, since a library in C asked an object for an attribute and took any exception for a no. A second
signal ends a clean-up that takes too long; files are whole at any time, and workers notice when their scheduler is
gone.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED, TERMINATED = 130, 143
_AGAIN_SECONDS = 0.05
_LOST_SECONDS = 1.0  # after which an exception that nobody handles is looked for
_IMPORT = "<frozen importlib"  # file name of the frames of an import that is going on


class _State:
    """State of the handlers; one a process, as signals are."""

    owns_process = False  # the process is this command's, and may be ended at once
    working = False
    received = 0  # the first signal
    raised = False
    answered = False  # the exception has come to the end of the command
    words: Callable[[str], str] = staticmethod(str)  # the language of the message


def install() -> None:
    """Answer signals from now on, in a process that only runs this command."""
    _State.owns_process = True
    _handle()


def work_begins() -> None:
    """From now on a signal is a `KeyboardInterrupt`, which a command may catch and clean up after."""
    _State.working, _State.received, _State.raised, _State.answered = True, 0, False, False
    _State.words = staticmethod(str)
    sys.unraisablehook = _send_again
    _handle()


def answer_in(words: Callable[[str], str]) -> None:
    """Let the message come in the language of these words, which take its English."""
    _State.words = staticmethod(words)


def message() -> tuple[str, int]:
    """Message about the signal that ended the work, and the exit code."""
    _State.answered = True
    words = _State.words
    if _State.received == signal.SIGTERM:
        return words("terminated: files already written are whole; run again to do the rest"), TERMINATED
    return words("interrupted: files already written are whole; run again to do the rest"), INTERRUPTED


def leave(code: Any) -> NoReturn:
    """End the process: signals change nothing any more, and after one no library is taken down in an odd state."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "setitimer"):  # a signal within the last import would come again, when nobody answers
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
    if code in (INTERRUPTED, TERMINATED):
        _end_workers()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _end_workers() -> None:
    """Local workers that are left, which may just be starting; they would complain of semaphores that are gone."""
    process = sys.modules.get("multiprocessing.process")
    with suppress(Exception):
        for worker in process.active_children():  # type: ignore[union-attr]
            worker.kill()


def leave_at_once() -> NoReturn:
    """End the process with its message, without a way back."""
    text, code = message()
    with suppress(OSError):
        os.write(2, f"{text}\n".encode())
    _end_workers()
    os._exit(code)


def _handle() -> None:
    """Take over both signals; one that is ignored, as of a command in the background, stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_signal)
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _on_signal)


def _on_signal(number: int, frame: FrameType | None) -> None:
    _State.received = _State.received or number
    if _State.owns_process and (not _State.working or _State.raised):
        leave_at_once()
    if _imports(frame):
        _come_again()
        return
    _State.raised = True
    if _State.owns_process and hasattr(signal, "setitimer"):
        _come_again(_LOST_SECONDS)
    raise KeyboardInterrupt


def _on_alarm(_: int, frame: FrameType | None) -> None:
    if _State.answered:
        return
    if _State.raised and _is_handled():
        _come_again(_LOST_SECONDS)
        return
    _State.raised = False  # held back within an import, or lost
    _on_signal(_State.received, frame)


def _is_handled() -> bool:
    """Whether the command is within the clean-up of a `KeyboardInterrupt`, or of what came of one."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _imports(frame: FrameType | None) -> bool:
    """Whether an import is going on in a frame or in one that called it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORT):
            return True
        frame = frame.f_back
    return False


def _come_again(seconds: float | None = None) -> None:
    """Let the signal come once more, soon; by a timer of the system, as a thread cannot be started anywhere."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _on_alarm)
        signal.setitimer(signal.ITIMER_REAL, seconds or _AGAIN_SECONDS)
    else:  # Windows
        raise KeyboardInterrupt


def _send_again(unraisable: Any) -> None:
    """A signal that came within a callback of the garbage collector, where it is lost, comes once more."""
    if unraisable.exc_type is KeyboardInterrupt:
        _State.received, _State.raised = _State.received or signal.SIGINT, False
        _come_again()
    else:
        sys.__unraisablehook__(unraisable)
