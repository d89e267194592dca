"""Models of job files and profiles are built when they are imported, where an interrupt waits."""

from __future__ import annotations

from collections.abc import Iterator

from engine.spec import cluster, job
from engine.spec.block import Block


def subclasses(kind: type[Block]) -> Iterator[type[Block]]:
    for further in kind.__subclasses__():
        yield further
        yield from subclasses(further)


def test_no_model_is_left_to_be_built_in_a_run() -> None:
    """pydantic would build it within a call, and turn a `KeyboardInterrupt` meanwhile into an error of its own."""
    models = set(subclasses(Block))
    assert {job.Job, cluster.BatchProfile} <= models
    assert len(models) > 30
    assert [model.__name__ for model in models if not model.__pydantic_complete__] == []
