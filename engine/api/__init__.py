"""The library: jobs from data frames, results as objects; the package ``dyadid`` hands it on.

    read            a table from disk, with its labels
    panel, feols    a job on a data frame: of cities by year, of a table of pairs (`fepois`: Poisson)
    job, run        a job as a file, a mapping or an object; one validated model for all three
    Result          tables, figures, covariances and draws of a run
    etable          results side by side, with fits of other packages among them

Everything goes through `engine.pipeline`, so a number is the same whichever door it leaves by.
"""

from engine.api.drawn_result import DrawnResult
from engine.api.estimate_table import etable
from engine.api.job_object import StatedJob, job
from engine.api.pair_formula import feols, fepois, pair_table
from engine.api.panel_job import PanelJob, panel
from engine.api.printed import Table
from engine.api.read_data import read
from engine.api.result import Result
from engine.api.run_job import check, run
from engine.errors import InputError, RunError
from engine.runtime.source_code import package_version

Draws, Job = DrawnResult, StatedJob
__version__ = package_version("dyadid")
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
    "fepois",
    "job",
    "pair_table",
    "panel",
    "read",
    "run",
]
