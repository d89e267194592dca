"""A run through the real Dask operator, and what an API server can refuse. The API and the pods are a double's.

See `kubernetes_double`: the API is one in memory that validates strictly and knows the driver's role, and pods are
processes of this machine. What Kubernetes itself would do with images, nodes, volumes and network policies is not seen.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import kr8s
import pytest
import yaml
from distributed import Client
from distributed.security import Security
from kubelet_double import Kubelet
from kubernetes_double import HOST, Api
from kubernetes_schemas import documents

import engine
from engine.errors import InputError, RunError
from engine.runtime.kubernetes import open_kubernetes
from engine.spec.cluster import KubernetesProfile

ROOT = Path(__file__).parents[2]
JOB = ROOT / "jobs/table1_baseline.yaml"
SETUP = {one["kind"]: one for one in documents(ROOT / "cluster/kubernetes/setup.yaml")}
PROFILE = KubernetesProfile(
    kind="kubernetes",
    image="example/dyadid:1",
    namespace="dyadid",
    workers={"minimum": 1, "maximum": 2},
    threads=3,
    memory="1GB",
    wait=60,
)
SHORT = PROFILE.model_copy(update={"wait": 1.0})
PLAIN = SHORT.model_copy(update={"tls": False})


def kubeconfig(path: Path, url: str, user: str) -> str:
    named: dict[str, dict[str, Any]] = {
        "clusters": {"cluster": {"server": url}},
        "users": {"user": {"token": user}},
        "contexts": {"context": {"cluster": "double", "user": "double", "namespace": "default"}},
    }
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "double"}
    path.write_text(
        yaml.safe_dump(config | {key: [{"name": "double", **what}] for key, what in named.items()})
    )
    return str(path)


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """An API where the driver has the rights of setup.yaml; the driver believes to be in a pod."""
    kr8s.Api._instances.clear()  # it remembers the servers of other tests
    server = Api()
    server.rules["driver"] = SETUP["Role"]["rules"]
    server.create(("namespaces", "", "dyadid"), SETUP["Namespace"])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path / "driver", server.url, "driver"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    lookup = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *args, **kwargs: lookup(HOST if "-scheduler." in str(host) else host, *args, **kwargs),
    )
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def kubelet(api: Api, tmp_path: Path) -> Iterator[Kubelet]:
    """With the operator, which has all rights."""
    if sys.platform != "linux":
        pytest.skip("schedulers listen on a loopback address that only Linux has by itself")
    kubelet = Kubelet(api, tmp_path / "pods")
    kubelet.start()
    script = Path(__file__).with_name("operator_beside_double.py")
    config = kubeconfig(tmp_path / "operator", api.url, "operator")
    environment = {"HOME": str(tmp_path), "KUBECONFIG": config, "SCHEDULER_HOST": HOST}
    with (tmp_path / "operator.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kopf", "run", "--standalone", "-n", "dyadid", str(script)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )
        yield kubelet
        process.kill()  # asked to stop, it first waits for its streams to end
        process.wait()
    kubelet.stop()


@pytest.fixture
def scheduler(api: Api, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The status of a scheduler's pod that is there before the run, which nobody ever starts."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: "0a1b2c")
    labels = {"dask.org/cluster-name": "dyadid-0a1b2c", "dask.org/component": "scheduler"}
    container = {"name": "scheduler", "image": "example/dyadid:1"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "labels": labels}}
    made = api.create(("pods", "dyadid", "one"), pod | {"spec": {"containers": [container]}})
    return made.setdefault("status", {"phase": "Pending"})


def until_nothing_is(left: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while left():
        assert time.monotonic() < end, left()
        time.sleep(0.1)


def left(api: Api) -> set[str]:
    """What is there, apart from what was there before the run and from the operator's notes."""
    return {plural for plural, *_ in api.objects} - {"namespaces", "events"}


def refused(address: str, security: Security | None) -> bool:
    try:
        Client(address, security=security, timeout=2).close()
    except (OSError, TypeError):  # TypeError: no certificate for an address with tls://
        return True
    return False


def test_run_over_tls(api: Api, kubelet: Kubelet, tmp_path: Path) -> None:
    """Workers come, compute, become more with the work, and nothing is left, be the run good or bad."""
    with suppress(ZeroDivisionError), open_kubernetes(PROFILE, tmp_path / "certificates") as (address, given):
        assert address.startswith("tls://dyadid-")
        with Client(address, security=given) as client:
            client.wait_for_workers(1, timeout=60)
            assert client.submit(sum, [1, 2]).result() == 3
            (found,) = client.run(lambda: dict(os.environ)).values()
            assert {found[key] for key in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"3"}
            assert refused(address, Security.temporary())
            assert refused(address.replace("tls://", "tcp://"), None)
            work = client.map(lambda _: time.sleep(0.5), range(100))
            client.wait_for_workers(2, timeout=60)  # the operator asked the scheduler
            client.cancel(work)
        assert left(api) == {
            *("daskclusters", "daskworkergroups", "daskautoscalers"),
            *("deployments", "pods", "services", "secrets"),
        }
        others = [what for (plural, *_), what in api.objects.items() if plural != "secrets"]
        assert "PRIVATE KEY" not in json.dumps(others)
        assert "PRIVATE KEY" not in "".join(path.read_text() for path in kubelet.folder.rglob("log"))
        raise ZeroDivisionError  # the run goes wrong
    until_nothing_is(lambda: [*left(api), *kubelet.processes], 30)
    assert not any((tmp_path / "certificates").iterdir())
    used = {(group, plural, verb) for token, group, verb, plural in api.calls if token == "driver"}
    granted = {
        (group, plural, verb)
        for rule in SETUP["Role"]["rules"]
        for group in rule["apiGroups"]
        for plural in rule["resources"]
        for verb in rule["verbs"]
    }
    assert used == granted  # no right too few, and none too many


@pytest.mark.slow
def test_job_gives_the_same_bytes(api: Api, kubelet: Kubelet, tmp_path: Path) -> None:
    """A job file through a profile, a worker killed on the way; against the same job on threads."""
    profile = PROFILE.model_dump(exclude_defaults=True) | {"workers": 2, "threads": 1}
    (tmp_path / "kubernetes.yaml").write_text(yaml.safe_dump(profile))
    killed: list[str] = []

    def kill_one(_: str, done: int, total: int) -> None:
        workers = [name for name in kubelet.processes if "worker" in name]
        if workers and 0 < done < total and not killed:
            killed.append(workers[0])
            kubelet.processes[workers[0]].kill()

    found = []
    for where in (None, tmp_path / "kubernetes.yaml"):
        out = tmp_path / f"out-{where is None}"
        engine.run(JOB, out=out, cluster=where, overrides=["runtime.tile=16"], progress=kill_one)
        found.append((out / JOB.stem / "estimates.parquet").read_bytes())
    assert found[0] == found[1]
    assert killed
    until_nothing_is(lambda: left(api), 30)


@pytest.mark.slow
def test_run_from_outside(
    api: Api, kubelet: Kubelet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that is in no pod reaches the scheduler through the API server, with the rights of its user."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    del api.rules["driver"]
    with open_kubernetes(PROFILE, tmp_path) as (address, security):
        assert address.startswith("tls://127.0.0.1:")
        with Client(address, security=security) as client:
            client.wait_for_workers(1, timeout=60)
            big = bytes(range(256)) * 8192  # in more than one frame
            assert client.submit(lambda text: text[::-1], big).result() == big[::-1]
    until_nothing_is(lambda: left(api), 30)


def test_what_comes_after_its_owner_is_gone_is_collected(api: Api) -> None:
    """A pod of a deployment that is deleted meanwhile: Kubernetes leaves no such object, and the double none either."""
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone", "uid": "0a1b2c"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "late", "ownerReferences": [owner]}}
    container = {"name": "worker", "image": "example/dyadid:1"}
    api.create(("pods", "dyadid", "late"), pod | {"spec": {"containers": [container]}})
    assert not left(api)


def test_run_without_tls(api: Api, tmp_path: Path, scheduler: dict[str, Any]) -> None:
    scheduler["conditions"] = [{"type": "Ready", "status": "True"}]
    with open_kubernetes(PLAIN, tmp_path) as (address, security):
        assert (address, security) == ("tcp://dyadid-0a1b2c-scheduler.dyadid.svc:8786", None)
        assert not api.of("secrets")
    assert not api.of("daskclusters")


def test_certificates_of_the_user(api: Api, tmp_path: Path, scheduler: dict[str, Any]) -> None:
    scheduler["conditions"] = [{"type": "Ready", "status": "True"}]
    api.rules["driver"] = [
        *SETUP["Role"]["rules"],
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["lab-tls"], "verbs": ["get"]},
    ]
    profile = SHORT.model_copy(update={"tls_secret": "lab-tls"})
    theirs, secret = (
        Security.temporary(),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "lab-tls"}},
    )
    with pytest.raises(InputError, match="there is no secret lab-tls"), open_kubernetes(profile, tmp_path):
        pass
    secret |= {
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": theirs.tls_client_cert, "tls.key": "key"},
    }
    api.create(("secrets", "dyadid", "lab-tls"), secret)
    with (
        pytest.raises(InputError, match=r"secret lab-tls has no ca\.crt"),
        open_kubernetes(profile, tmp_path),
    ):
        pass
    api.patch(("secrets", "dyadid", "lab-tls"), {"data": {"ca.crt": "Q0E=", "tls.crt": "Q1JU"}})
    with open_kubernetes(profile, tmp_path) as (_, given):
        assert (given.tls_ca_file, given.tls_client_cert, given.tls_client_key) == ("CA", "CRT", "key")
        (cluster,) = api.of("daskclusters")
        assert cluster["spec"]["worker"]["spec"]["volumes"][1]["secret"]["secretName"] == "lab-tls"
    assert [one["metadata"]["name"] for one in api.of("secrets")] == ["lab-tls"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"phase": "Pending"}, r"\(Pending\)"),
        (
            {
                "containerStatuses": [
                    {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}}
                ]
            },
            "ImagePullBackOff: no such tag",
        ),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "full"}
                ]
            },
            "Unschedulable: full",
        ),
    ],
)
def test_scheduler_that_does_not_start(
    api: Api, tmp_path: Path, scheduler: dict[str, Any], status: dict[str, Any], reason: str
) -> None:
    """Says why, and leaves nothing."""
    scheduler |= status
    profile = PLAIN.model_copy(update={"wait": 2.0})
    stop = threading.Event()

    def operator() -> None:
        while not stop.wait(0.1):
            for one in api.of("daskclusters"):
                api.patch(
                    ("daskclusters", "dyadid", one["metadata"]["name"]), {"status": {"phase": "Pending"}}
                )
                return

    helper = threading.Thread(target=operator)
    helper.start()
    try:
        with (
            pytest.raises(RunError, match=f"not ready after 2 s.*{reason}"),
            open_kubernetes(profile, tmp_path),
        ):
            pass
    finally:
        stop.set()
        helper.join()
    assert not api.of("daskclusters")


def test_no_operator(api: Api, tmp_path: Path) -> None:
    told = r"no operator has taken up DaskCluster dyadid-.*\n  hint: install"
    with pytest.raises(RunError, match=told), open_kubernetes(SHORT, tmp_path):
        pass
    assert left(api) == set()


def test_no_definition_of_dask_clusters(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules["kubernetes_double"]._KINDS, "kubernetes.dask.org/v1")
    told = r"refuses: no such group.*\n  hint: install the Dask operator"
    with pytest.raises(InputError, match=told), open_kubernetes(PLAIN, tmp_path):
        pass


def test_no_rights(api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    api.rules["driver"] = []
    told = r'cannot create resource "daskclusters".*\n  hint: .*Role in'
    with pytest.raises(InputError, match=told), open_kubernetes(PLAIN, tmp_path):
        pass
    assert not caplog.text  # nothing is left that could not be removed


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kr8s.Api._instances.clear()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path / "driver", url, "driver"))
        with (
            pytest.raises(InputError, match="no Kubernetes API server answers"),
            open_kubernetes(PLAIN, tmp_path),
        ):
            pass
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    with (
        pytest.raises(InputError, match="no Kubernetes API server answers"),
        open_kubernetes(PLAIN, tmp_path),
    ):
        pass


def test_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kr8s.objects", None)
    told = r"needs the package kr8s\n  hint: pip install 'dyadid\[cluster\]'"
    with pytest.raises(InputError, match=told), open_kubernetes(PLAIN, tmp_path):
        pass


def test_cluster_that_cannot_be_removed(
    api: Api, tmp_path: Path, scheduler: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The run ends as it did, and it is said how to remove what is left."""
    scheduler["conditions"] = [{"type": "Ready", "status": "True"}]
    with caplog.at_level(logging.WARNING), open_kubernetes(PLAIN, tmp_path):
        api.rules["driver"] = []
    assert "kubectl -n dyadid delete daskcluster dyadid-0a1b2c" in caplog.text
