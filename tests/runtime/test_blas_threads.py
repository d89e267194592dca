"""One thread of BLAS wherever numbers are made: the bits of a result do not tell how many threads a machine has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pandas as pd
import pytest
import scipy.linalg  # noqa: F401  # has a BLAS of its own
from threadpoolctl import threadpool_info, threadpool_limits

import engine
from engine.runtime import blas_threads as module
from engine.runtime.blas_threads import one_blas_thread

# City by year effects are solved by LAPACK, and R2 sums 153,230 rows by BLAS.
JOB = Path(__file__).parents[2] / "jobs" / "fixed_effects.yaml"


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def frames(threads: int, *, workers: int | None = None) -> dict[str, pd.DataFrame]:
    with threadpool_limits(limits=threads, user_api="blas"):
        return dict(engine.run(JOB, workers=workers).frames)


@pytest.fixture(scope="module")
def of_one_thread() -> dict[str, pd.DataFrame]:
    return frames(1)


@pytest.mark.parametrize(("threads", "workers"), [(2, None), (3, None), (2, 1)])
def test_bits_do_not_depend_on_threads(
    of_one_thread: dict[str, pd.DataFrame], threads: int, workers: int | None
) -> None:
    of_more = frames(threads, workers=workers)
    assert of_more.keys() == of_one_thread.keys()
    for name, frame in of_one_thread.items():
        pd.testing.assert_frame_equal(of_more[name], frame, check_exact=True, obj=name)


def test_threads_come_back_where_the_last_leaves() -> None:
    both_inside, first_left = Barrier(2), Barrier(2)
    with threadpool_limits(limits=3, user_api="blas"), ThreadPoolExecutor(2) as pool:

        def leave_first() -> set[int]:
            with one_blas_thread():
                both_inside.wait(timeout=10)
                inside = blas_threads()
            first_left.wait(timeout=10)
            return inside

        def leave_last() -> set[int]:
            with one_blas_thread():
                both_inside.wait(timeout=10)
                first_left.wait(timeout=10)
                return blas_threads()

        jobs = [pool.submit(leave_first), pool.submit(leave_last)]
        assert [job.result(timeout=30) for job in jobs] == [{1}, {1}]
        assert blas_threads() == {3}


def test_tasks_of_a_long_run_leave_nothing_behind() -> None:
    with one_blas_thread():
        for _ in range(100):
            with one_blas_thread():
                assert blas_threads() == {1}
        assert len(module._LIMITS) <= 2
    assert not module._LIMITS
