"""dyadid: difference-in-differences on pairs, with dyadic-robust inference.

    job file --> Plan: cells                                                engine.spec
    file --> table: cells, names, arithmetic                                engine.tables
    table --> CityPanel --> city arrays, indices                            engine.cities
    tile of the pair triangle --> pair columns --> moments by city, class   engine.pairs
    moments --> Estimate --> covariances                                    engine.estimate, engine.infer
    threads, processes or a cluster, fixed merge order                      engine.runtime
    frames, tables, figures, one page                                       engine.report

``engine.pipeline`` tells the story, one call a stage; ``engine.stages`` joins job files to numerics, and
nothing else does. A layer imports only those below it. Start reading at ``pipeline.run``.

>>> import engine
>>> engine.run("jobs/euro.yaml").estimates  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import InputError, RunError

if TYPE_CHECKING:
    from engine.pipeline import Results, run

__all__ = ["InputError", "Results", "RunError", "run"]


def __getattr__(name: str) -> Any:
    """`run` and `Results` on first use: importing the package stays cheap."""
    if name in ("run", "Results"):
        from engine import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
