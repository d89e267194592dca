"""The two ways a run can end badly: the input is wrong (exit 2), or the run failed (exit 1)."""

from __future__ import annotations


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
    """

    def __init__(self, problem: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.problem, self.where, self.remedy = problem, where, remedy
        text = f"{where}: {problem}" if where else problem
        super().__init__(f"{text}\n  remedy: {remedy}" if remedy else text)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.problem, self.where, self.remedy)


def _rebuild(problem: str, where: str | None, remedy: str | None) -> InputError:
    return InputError(problem, where=where, remedy=remedy)


class RunError(RuntimeError):
    """The run could not be finished although the input looks right; the message says how to go on."""
