"""The driver itself as a batch job: its script, the record of it, and the record's name."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import InputError
from engine.runtime import batch_queues as batch
from engine.runtime.files import STATE, output_folder, write_text
from engine.runtime.journal import read_record
from engine.runtime.script_words import refuse_unprintable
from engine.runtime.store import shown
from engine.spec.cluster import BatchProfile, Profile

DRIVER = "driver.json"
_JOB_ID = re.compile(r"[\w.][\w.\[\]-]*")


@dataclass(frozen=True)
class Submitted:
    """A driver that was handed to a batch system.

    Attributes
    ----------
    kind : str
        Batch system, as in the profile.
    job_id : str
    submitted : str
        ISO time, UTC.
    logs : str
        Folder of its output.
    lang : str
        Language of its jobs; English for what an earlier version left.
    """

    kind: str
    job_id: str
    submitted: str
    logs: str
    lang: str = "en"


def submit_run(profile: Profile | None, arguments: Sequence[str], out: Path, lang: str = "en") -> Submitted:
    """Send ``dyadid run`` with these arguments to the profile's batch system; returns when that has taken it.

    Raises
    ------
    InputError
        Where the profile has no batch system, or that refuses the job; where its script would hold a password.
    """
    if not isinstance(profile, BatchProfile):
        what = f"a profile of kind {profile.kind}" if profile else "a run without --cluster"
        remedy = "name one of slurm, pbs, lsf or sge; for Kubernetes apply cluster/kubernetes/driver.yaml"
        raise InputError(f"{what} has no queue to submit to", where="--submit", remedy=remedy)
    if any(shown(one) != one for one in arguments):
        raise InputError(
            "the job's script would show the password in the store's address",
            where="--submit",
            remedy="give the password to fsspec's configuration on the cluster, or run without --submit",
        )
    refuse_unprintable(str(out.absolute()), where="--out")
    refuse_unprintable(list(arguments), where="--submit")
    state = output_folder(out / STATE)
    logs = output_folder(state / "driver")
    command = [profile.python or sys.executable, "-m", "engine", "run", *arguments]
    script = write_text(state / "driver.sh", batch.driver_script(profile, command, logs.resolve()))
    job_id = batch.submit(profile, script)
    done = Submitted(profile.kind, job_id, datetime.now(UTC).isoformat(timespec="seconds"), str(logs), lang)
    write_text(state / DRIVER, json.dumps(asdict(done), indent=1))
    return done


def submitted(out: Path) -> Submitted | None:
    """The driver last submitted for an output folder, if any was; None for a damaged record, too."""
    record = read_record(out / STATE / DRIVER)
    if set(record) | {"lang"} != {item.name for item in fields(Submitted)}:
        return None
    if not all(isinstance(value, str) and "\0" not in value for value in record.values()):
        return None
    return Submitted(**record) if _JOB_ID.fullmatch(record["job_id"]) else None  # it goes to a command
