"""Ctrl-C and SIGTERM at any moment: one message, exit code 130 or 143, no traceback and no crash."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

EURO = Path(__file__).parents[1] / "jobs" / "euro.yaml"
SAYS = {"SIGINT": "interrupted", "SIGTERM": "terminated"}
CODE = {"SIGINT": 130, "SIGTERM": 143}
# From "ready" on the process is the command's: what Python does before, it does without this package.
START = (
    "import sys\nfrom engine.__main__ import main\nsys.argv[0] = 'dyadid'\nprint('ready', flush=True)\nmain()"
)
HELD_UP = """
import sys, types
from engine import __main__, interrupts
{before}
print('ready', flush=True)
__main__.main()
"""


def ended(arguments: list[str], seconds: float, name: str, code: str = START) -> tuple[int, str]:
    """Exit code and standard error of a command that gets a signal some seconds after its start."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(seconds)
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=90)
    return process.returncode, err


def check(arguments: list[str], seconds: float, name: str = "SIGINT") -> bool:
    """Whether the signal came before the end; a fault where it did not end the command as it should."""
    code, err = ended(arguments, seconds, name)
    lines = [line for line in err.splitlines() if not line.startswith(("warning: ", "2 Dask workers"))]
    if code == 0:
        assert lines == []
        return False
    assert (code, lines) == (
        CODE[name], [f"{SAYS[name]}: files already written are whole; run again to do the rest"],
    ), (seconds, err)  # fmt: skip
    return True


def run(tmp_path: Path, *more: str) -> list[str]:
    """A run that takes some seconds of imports, and then half a minute of draws."""
    draws = ["--set", "inference.permutation.reps=400000"]
    return ["run", str(EURO), "--out", str(tmp_path / "out"), "--fresh", *draws, *more]


def test_in_the_first_seconds_of_a_run(tmp_path: Path) -> None:
    moments = [0.0, *(random.Random(14).uniform(0.01, 3.0) for _ in range(9))]
    assert all(check(run(tmp_path), moment) for moment in moments)


def test_sigterm_in_the_first_seconds(tmp_path: Path) -> None:
    assert all(check(run(tmp_path), moment, "SIGTERM") for moment in (0.02, 0.7, 2.0))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_a_hundred_moments(tmp_path: Path, part: int) -> None:
    draw = random.Random(part)
    for _ in range(20):
        more = draw.choice([[], [], ["--workers", "2"]])
        check(run(tmp_path, *more), draw.uniform(0, 6 if more else 4), draw.choice(list(SAYS)))


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["check", str(EURO)], ["plan", str(EURO)], ["schema"], ["--help"]])
def test_other_commands(arguments: list[str]) -> None:
    for tenth in range(15):
        check(arguments, tenth / 10)


def test_within_an_import_it_waits_for_the_end_of_it(tmp_path: Path) -> None:
    """The module that is imported sees no exception, sleep as it may; the command ends right after it."""
    (tmp_path / "slow_module.py").write_text(
        "import sys, time\ntry:\n    time.sleep(1)\nexcept BaseException:\n    print('within', file=sys.stderr)\n"
    )
    before = f"""
def loading():
    interrupts.work_begins()
    sys.path.insert(0, {str(tmp_path)!r})
    try:
        import slow_module
        sum(range(10**9))
    except KeyboardInterrupt:
        text, code = interrupts.message()
        print(text, file=sys.stderr)
        raise SystemExit(code)
sys.modules['engine.cli'] = types.SimpleNamespace(main=loading)
import engine; engine.cli = sys.modules['engine.cli']
"""
    code, err = ended([], 0.3, "SIGINT", HELD_UP.format(before=before))
    assert (code, err) == (130, "interrupted: files already written are whole; run again to do the rest\n")


def test_within_the_last_import_it_may_come_too_late(tmp_path: Path) -> None:
    """The command ends before the signal comes again: as if it had not been sent, and not by the alarm."""
    (tmp_path / "slow_module.py").write_text("import time\ntime.sleep(1)\n")
    before = f"""
import atexit, time
def loading():
    interrupts.work_begins()
    sys.path.insert(0, {str(tmp_path)!r})
    import slow_module
    interrupts._AGAIN_SECONDS  # the work ends here, sooner than the signal comes again
sys.modules['engine.cli'] = types.SimpleNamespace(main=loading)
import engine; engine.cli = sys.modules['engine.cli']
interrupts._AGAIN_SECONDS = 1.5
class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(3)  # of the interpreter's own end
slow = Slow()
"""
    assert ended([], 0.3, "SIGINT", HELD_UP.format(before=before)) == (0, "")


# A library in C that asks whether there is an attribute takes any exception for a no, KeyboardInterrupt too.
LOSES_IT = """
import ctypes, time
class Slow:
    def __getattr__(self, name):
        time.sleep(1)
        raise AttributeError
def swallow():
    assert ctypes.pythonapi.PyObject_HasAttrString(ctypes.py_object(Slow()), b"attribute") == 0
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_exception_that_a_library_loses_comes_again(name: str) -> None:
    before = f"""
{LOSES_IT}
def losing():
    interrupts.work_begins()
    try:
        swallow()
        print('lost', file=sys.stderr)
        time.sleep(60)
    except KeyboardInterrupt:
        text, code = interrupts.message()
        time.sleep(2.5)  # no third one comes
        print(text, file=sys.stderr)
        raise SystemExit(code)
sys.modules['engine.cli'] = types.SimpleNamespace(main=losing)
import engine; engine.cli = sys.modules['engine.cli']
"""
    code, err = ended([], 0.3, name, HELD_UP.format(before=before))
    message = f"{SAYS[name]}: files already written are whole; run again to do the rest"
    assert (code, err) == (CODE[name], f"lost\n{message}\n")


def test_a_clean_up_is_not_taken_for_a_lost_exception() -> None:
    """Of a `finally`, of context managers, and of another exception that came of the first one."""
    before = """
import contextlib, time
@contextlib.contextmanager
def managed():
    try:
        yield
    finally:
        time.sleep(1.3)
        print('managed', file=sys.stderr)
def tidy():
    interrupts.work_begins()
    try:
        try:
            with managed(), contextlib.ExitStack() as stack:
                stack.callback(lambda: (time.sleep(1.3), print('stacked', file=sys.stderr)))
                time.sleep(60)
        finally:
            try:
                raise ValueError
            except ValueError:
                time.sleep(1.3)
            print('tidied', file=sys.stderr)
    except KeyboardInterrupt:
        text, code = interrupts.message()
        print(text, file=sys.stderr)
        raise SystemExit(code)
sys.modules['engine.cli'] = types.SimpleNamespace(main=tidy)
import engine; engine.cli = sys.modules['engine.cli']
"""
    code, err = ended([], 0.3, "SIGINT", HELD_UP.format(before=before))
    assert (code, err.splitlines()[:-1]) == (130, ["stacked", "managed", "tidied"])
    assert err.splitlines()[-1].startswith("interrupted: ")


def test_a_second_signal_ends_a_clean_up_that_hangs() -> None:
    before = """
def hanging():
    import time
    interrupts.work_begins()
    try:
        time.sleep(60)
    finally:
        print('cleaning', flush=True)
        time.sleep(60)
sys.modules['engine.cli'] = types.SimpleNamespace(main=hanging)
import engine; engine.cli = sys.modules['engine.cli']
"""
    process = subprocess.Popen(
        [sys.executable, "-c", HELD_UP.format(before=before)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err.count("\n")) == (130, 1)
    assert err.startswith("interrupted: ")


def test_a_command_in_the_background_is_left_alone(tmp_path: Path) -> None:
    """A shell without job control starts it with SIGINT ignored, as nohup does."""
    before = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nsys.argv = ['dyadid', 'schema']"
    code, err = ended([], 0.2, "SIGINT", HELD_UP.format(before=before))
    assert (code, err) == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="semaphores are files in /dev/shm on Linux alone")
def test_semaphores_that_are_left_are_given_back_without_a_word() -> None:
    """Whatever the moment at which a command ends: Python's own process unlinks them, and says nothing."""
    code = (
        "import multiprocessing, os\nfrom engine.runtime import clusters\n"
        "with clusters._ctrl_c_held_back():\n"
        "    lock = multiprocessing.get_context('spawn').Lock()\n"
        "print(lock._semlock.name, flush=True)\nos._exit(143)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (143, "")  # read to the end: the other process has ended too
    assert not Path("/dev/shm", f"sem.{done.stdout.strip().lstrip('/')}").exists()
