"""Chunks of a task on several threads: the same sums to the bit, a bounded number of kernels, errors as they are."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from engine.pairs.design import Chunk
from engine.pairs.gravity import PairSample
from engine.pairs.map_reduce import (
    CellBlock,
    ChunkArrays,
    InteractionPass,
    MomentPass,
    ScorePass,
    by_chunk,
    city_moments,
    interaction_sums,
    score_sums,
)
from engine.pairs.panel_design import PanelDesign
from engine.pairs.tiles import task_threads, with_task_threads
from engine.runtime.execute import Machine

N, T = 150, 6


@pytest.fixture(scope="module")
def design() -> PanelDesign:
    """One task of three chunks."""
    rng = np.random.default_rng(4)
    sample = PairSample((np.arange(N) % 2).astype(np.int32), np.ones((2, 2), bool))
    values = rng.normal(size=(N, T)).cumsum(1)
    made = PanelDesign(sample, values, np.ones(T, bool), 0.0, rng.normal(size=(N, T, 2)), None, 256)
    assert len(made.tasks()) == 1
    assert len(list(made.chunks(made.tasks()[0]))) == 3
    return made


def test_sums_are_the_same_to_the_bit(design: PanelDesign) -> None:
    rng = np.random.default_rng(5)
    size = T + design.n_columns + 1
    block = CellBlock(rng.normal(size=(2, 2, T, 1)), rng.normal(size=(size, 1)), rng.normal(size=(size, 2)))
    moment_pass = MomentPass(design, balanced=True, products=True)
    scores = ScorePass(moment_pass, block)
    interaction = InteractionPass(scores, rng.normal(size=(N, T, 1)))
    (task,) = design.tasks()
    made = []
    for threads in (1, 2, 5):
        with with_task_threads(threads):
            moments, sums = city_moments(moment_pass, task), interaction_sums(interaction, task)
            of_moments = [
                moments.first,
                moments.second,
                moments.products,
                moments.rows_by_year,
                moments.weight,
            ]
            of_scores = [score_sums(scores, task).pair_meat, sums.products, sums.kappa_squares, sums.kappa]
            made.append([*of_moments, *of_scores])
    for of_threads in made[1:]:
        for array, alone in zip(of_threads, made[0], strict=True):
            np.testing.assert_array_equal(array, alone)
    assert task_threads() == 1


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_chunks_come_in_order_and_no_more_are_held_than_threads_can_use(
    design: PanelDesign, threads: int
) -> None:
    (task,) = design.tasks()
    lock, running, most = threading.Lock(), 0, 0

    def of_chunk(chunk: Chunk) -> ChunkArrays:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1
        return chunk.i, None

    with with_task_threads(threads):
        for chunk, arrays in by_chunk(of_chunk, design.chunks(task)):
            (first,) = arrays
            np.testing.assert_array_equal(first, chunk.i)
    assert most == threads


def test_an_error_of_a_chunk_is_raised_where_it_is_read(design: PanelDesign) -> None:
    (task,) = design.tasks()

    def broken(chunk: Chunk) -> ChunkArrays:
        raise MemoryError

    with with_task_threads(2), pytest.raises(MemoryError):
        list(by_chunk(broken, design.chunks(task)))


def test_a_pass_of_one_task_has_the_threads_of_the_machine_and_others_have_one() -> None:
    def threads(_: object, task: int) -> list[int]:
        return [task_threads()]

    def added(earlier: list[int], later: list[int]) -> list[int]:
        return earlier + later

    machine = Machine(threads=3)
    assert machine.reduce(threads, None, [0], added, label="one") == [3]
    assert machine.reduce(threads, None, [0, 1], added, label="two") == [1, 1]
    assert task_threads() == 1
