"""Estimates of the cells of a pass, whichever road their estimator and effects take."""

from __future__ import annotations

from engine.runtime.blas_threads import one_blas_thread
from engine.runtime.execute import Machine
from engine.stages.absorbed import estimate_absorbed
from engine.stages.adopters import with_adopters
from engine.stages.compared_cells import estimate_compared
from engine.stages.estimation import Estimated, estimate_cells
from engine.stages.imputed_cells import estimate_imputed
from engine.stages.poisson_cells import estimate_poisson
from engine.stages.prepare_passes import Prepared


@one_blas_thread()  # for threads of a pool
def estimate_pass(machine: Machine, prepared: Prepared) -> list[Estimated]:
    """The cells of a pass, estimated, in their order."""
    work = prepared.pass_cells
    if work.job.model.registered.reweights:
        return estimate_poisson(machine, prepared)
    if prepared.effects:
        return with_adopters(prepared, estimate_absorbed(machine, prepared))
    if work.job.model.registered.imputes:
        return with_adopters(prepared, estimate_imputed(machine, prepared))
    if prepared.has_clean_controls:
        return with_adopters(prepared, estimate_compared(machine, prepared))
    estimated = estimate_cells(
        machine,
        work.cells,
        prepared.design,
        columns=work.controls,
        terms=prepared.terms,
        timings=prepared.timings,
        city_ties=prepared.city_ties,
    )
    return with_adopters(prepared, estimated)
