"""Names that a shell would take for commands: job scripts are rendered, and really run, with each of them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask_jobqueue
import pytest
from test_batch import COMMANDS, profile, put_command, system  # noqa: F401  # a fixture

from engine.errors import InputError
from engine.runtime import batch_queues as batch
from engine.runtime.clusters import place
from engine.runtime.script_words import quoted_program, refuse_unprintable
from engine.runtime.security import of_files, secured
from engine.spec.cluster import Certificates, KubernetesProfile, SSHProfile

Command = Callable[..., tuple[int, str, str]]

EURO = str(Path(__file__).parents[2] / "jobs" / "euro.yaml")
SLURM = 'kind: slurm\nworkers: 1\nmemory: 2GB\nwalltime: "01:00:00"\ninterface: lo\nwait: 60\n'
NAMES = [
    "o;touch PWNED;#x",
    "two words",
    "it's",
    'a "b"',
    "$(touch PWNED)",
    "`touch PWNED`",
    "a&touch PWNED&",
    "a|touch PWNED",
    "-rf",
    "*",
    "~",
    "$HOME",
    "南昌 市",
    "a\\",
    "100%j",
    "#SBATCH -p other",
    "a'; touch PWNED; '",
    "{a,b}",
    "!!",
    "a>PWNED",
]
CONTROLS = ["a\nb", "a\rtouch PWNED", "a\x1b[2J", "a\0b", "a\x85b", "a\u2028b", "a\udc80b"]
RECORDER = "#!/bin/sh\nprintf '%s\\0' \"$0\" \"$@\" >'{file}'\n"


def recorder(folder: Path, file: Path) -> Path:
    """A program that writes down the words it is started with; it stands for Python on the compute nodes."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "python"
    program.write_text(RECORDER.format(file=file))
    program.chmod(0o755)
    return program


def recorded(folder: Path) -> list[str]:
    return (folder / "words").read_text().split("\0")[:-1]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of the files of a certificate; making one takes longer than a script."""
    folder = tmp_path_factory.mktemp("made")
    with secured("auto", folder) as security:
        yield Path(security.tls_ca_file).parent


def run_script(script: str, folder: Path) -> None:
    """As a batch system does, by bash; nothing but the recorder's file may appear."""
    before = set(folder.rglob("*"))
    done = subprocess.run(
        ["bash", "-s"], input=script, cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in set(folder.rglob("*")) - before} <= {"words"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("system", COMMANDS, indirect=True)
def test_a_workers_script_starts_one_program_with_the_words_meant(
    system: str,  # noqa: F811
    name: str,
    certificates: Path,
    tmp_path: Path,
) -> None:
    """Paths of Python and certificates, queue, account, interface, folder of logs, all of one odd name."""
    out = tmp_path / name
    python = recorder(out / "bin", tmp_path / "words")
    asked = profile(system, queue=name, account=name, interface=name, python=str(python))
    kind = batch._quoting(getattr(dask_jobqueue, batch._CLASSES[system]).job_cls)
    shutil.copytree(certificates, out / "tls")
    ca, key = str(out / "tls" / "ca.pem"), str(out / "tls" / "key.pem")
    script = kind(
        scheduler="tls://10.0.0.1:8786", name="w", security=of_files(Certificates(ca=ca, cert=ca, key=key)),
        **batch.job_options(asked, out / "workers"),
    ).job_script()  # fmt: skip
    run_script(script, tmp_path)
    words = recorded(tmp_path)
    assert words[:3] == [str(python), "-m", "distributed.cli.dask_worker"]
    for option in ("--tls-ca-file", "--tls-cert", "--tls-key"):
        assert Path(words[words.index(option) + 1]).parent.parent == out
    assert words[words.index("--interface") + 1] == name
    # Directives are split as a shell would; dask-jobqueue quotes LSF's account itself
    split = [
        shlex.split(line.partition(" ")[2]) for line in script.splitlines() if line[:2] in ("#S", "#P", "#$")
    ]
    if system != "lsf":
        letter = {"slurm": "-p", "pbs": "-q", "sge": "-q"}[system]
        assert [letter, name] in split
        logs = next(words for words in split if words[0] == "-e")
        assert logs[1].replace("%%", "%").startswith(f"{out}/workers/")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("system", ["slurm", "lsf"], indirect=True)
def test_a_drivers_script_hands_on_the_words_meant(
    system: str,  # noqa: F811
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    python = recorder(tmp_path / name / "bin", tmp_path / "words")
    command = [str(python), "-m", "engine.cli", "run", "--out", name, "--set", f"title={name}", "--", name]
    script = batch.driver_script(profile(system, queue=name), command, tmp_path / name / "logs")
    run_script(script, tmp_path)
    assert recorded(tmp_path) == command


@pytest.mark.parametrize("name", ["o;touch PWNED;#x", "two words", "$(touch PWNED)", "-x", "it's"])
def test_a_run_is_submitted_from_and_into_any_folder(
    name: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole road: the command, a double of sbatch that runs the script with bash, and the driver's results."""
    put_command(tmp_path / "bin", "sbatch", f'bash "$1" >{tmp_path}/said 2>&1; echo "Submitted batch job 17"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    job = Path(f"{name}.yaml")
    job.write_text(Path(EURO).read_text(encoding="utf-8"), encoding="utf-8")
    Path("slurm.yaml").write_text(SLURM)
    real = batch.driver_script

    def on_threads(asked: Any, words: Any, folder: Path) -> str:  # the driver needs no workers here
        words = [word for word in words if word not in ("--cluster", "slurm.yaml")]
        return real(asked, words, folder)

    monkeypatch.setattr(batch, "driver_script", on_threads)
    code, _, err = command(
        "run", "--cluster", "slurm.yaml", "--submit", "--set", "model.errors=[pair]", "--out", name, "--", str(job)
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert (tmp_path / name / "euro" / "estimates.parquet").exists(), (tmp_path / "said").read_text()
    assert not list(tmp_path.rglob("PWNED*"))


@pytest.mark.parametrize("text", CONTROLS)
def test_no_value_with_a_control_character_reaches_a_script(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, answer in COMMANDS["slurm"].items():
        put_command(tmp_path / "bin", name, f"echo '{answer}'")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    values: list[dict[str, Any]] = [
        {"queue": text},
        {"account": text},
        {"directives": [text]},
        {"interface": text},
        {"python": text},
        {"driver": {"queue": text}},
    ]
    for value in values:
        (key,) = value
        with (
            pytest.raises(InputError, match=rf"--cluster: {key}.*control character"),
            place(profile("slurm", **value), folder=tmp_path / "out") as opened,
        ):
            opened(lambda *_: None)
        with pytest.raises(InputError, match=rf"--cluster: {key}.*control character"):
            batch.driver_script(profile("slurm", **value), ["python"], tmp_path)
    with pytest.raises(InputError, match=r"--submit: .*control character"):
        batch.driver_script(profile("slurm"), ["python", "--out", text], tmp_path)
    with (
        pytest.raises(InputError, match=r"--out: .*control character"),
        place(profile("slurm"), folder=tmp_path / text) as opened,
    ):
        opened(lambda *_: None)
    others = [
        SSHProfile(kind="ssh", hosts=["localhost"], python=text),
        KubernetesProfile(kind="kubernetes", workers=1, memory="2GB", image=text),
        KubernetesProfile(kind="kubernetes", workers=1, memory="2GB", image="x", node_selector={text: "a"}),
    ]
    for other in others:
        with pytest.raises(InputError, match="control character"), place(other, folder=tmp_path) as opened:
            opened(lambda *_: None)


def test_lines_of_a_prologue_are_a_shells() -> None:
    refuse_unprintable({"prologue": ["module load x\n\tmodule load y"]}, where="p")
    with pytest.raises(InputError, match="prologue"):
        refuse_unprintable({"prologue": ["module load x\x1b"]}, where="p")


@pytest.mark.parametrize("host", ["a'; touch PWNED; '", "-oProxyCommand=x", "a b", "", "a\\"])
def test_a_host_is_the_name_of_a_machine(host: str, tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="no name of a machine"),
        place(SSHProfile(kind="ssh", hosts=[host]), folder=tmp_path) as opened,
    ):
        opened(lambda *_: None)


def test_a_home_folder_is_the_other_machines() -> None:
    assert quoted_program("~/my env/bin/python") == "~/'my env/bin/python'"
    assert quoted_program("~me/bin/python") == "~me/bin/python"
    assert quoted_program("$(x)/python") == "'$(x)/python'"
