"""Job files: ``load_job`` reads one, ``expand`` counts and checks its cells, ``schema`` serves editors.

Where to start: ``job`` says what a file may hold; ``load`` merges files (``strict_yaml`` reads one, ``keys``
has the rule of merging, ``validate`` the messages); ``sweep`` makes the cells. Nothing here imports JAX.
"""

from engine.spec.job import Job
from engine.spec.job_schema import schema
from engine.spec.load import LoadedJob, find_jobs, load_job
from engine.spec.sweep import Cell, Plan, choices, expand, spec_hash

__all__ = [
    "Cell",
    "Job",
    "LoadedJob",
    "Plan",
    "choices",
    "expand",
    "find_jobs",
    "load_job",
    "schema",
    "spec_hash",
]
