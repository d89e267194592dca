"""dyadid: difference-in-differences on pairs, with dyadic inference. What is here is made in `engine.api`."""

from engine.api import DrawnResult as Draws
from engine.api import (
    InputError,
    PanelJob,
    Result,
    RunError,
    Table,
    __version__,
    check,
    etable,
    feols,
    job,
    pair_table,
    panel,
    read,
    run,
)
from engine.api import StatedJob as Job

__all__ = [
    "Draws",
    "InputError",
    "Job",
    "PanelJob",
    "Result",
    "RunError",
    "Table",
    "__version__",
    "check",
    "etable",
    "feols",
    "job",
    "pair_table",
    "panel",
    "read",
    "run",
]


def __dir__() -> list[str]:
    return __all__
