"""Kubernetes objects: valid by the strict schemas, rendered and by hand; no more rights, and nothing secret in them.

There is no API server here: schemas, the operator's own functions and Dask's own commands stand for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from dask_kubernetes.operator.controller import controller
from dask_kubernetes.operator.validation import validate_cluster_name
from kubernetes_schemas import as_pod, check, documents

from engine.runtime.pods import LABELS, address, autoscaler, dask_cluster
from engine.spec.cluster import KubernetesProfile, load_profile

CLUSTER = Path(__file__).parents[2] / "cluster"
PLAIN: dict[str, Any] = {"kind": "kubernetes", "image": "example/dyadid:1", "workers": 3, "memory": "1.5GB"}
PROFILES: dict[str, dict[str, Any]] = {
    "fixed": PLAIN,
    "adaptive": PLAIN | {"workers": {"minimum": 2, "maximum": 7}, "threads": 4},
    "gpu": PLAIN | {"gpus": 1, "node_selector": {"pool": "gpu"}},
    "elsewhere": PLAIN
    | {"namespace": "lab", "name": "growth", "service_account": "quiet", "memory": "512MB"},
}
NAME = "dyadid-0a1b2c"
SECRET = "dyadid-0a1b2c-tls"


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> KubernetesProfile:
    return KubernetesProfile(**PROFILES[request.param])


@pytest.fixture(params=[None, SECRET], ids=["plain", "tls"])
def secret(request: pytest.FixtureRequest) -> str | None:
    return request.param


def made_by_operator(cluster: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the operator's own functions make of a cluster."""
    spec, name, namespace = cluster["spec"], cluster["metadata"]["name"], cluster["metadata"]["namespace"]
    labels = cluster["metadata"]["labels"]
    yield controller.build_scheduler_deployment_spec(name, spec["scheduler"]["spec"], {}, labels)
    yield controller.build_scheduler_service_spec(name, spec["scheduler"]["service"], {}, labels)
    group = controller.build_default_worker_group_spec(name, spec["worker"], {}, labels)
    yield group
    yield controller.build_worker_deployment_spec(
        group["metadata"]["name"], namespace, name, "0123456789", group["spec"]["worker"]["spec"], {}, labels
    )


def pod_specs(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every pod that a manifest describes."""
    for key, value in manifest.items():
        if key == "spec" and "containers" in value:
            yield value
        elif isinstance(value, dict):
            yield from pod_specs(value)


def env(pod: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in pod["containers"][0]["env"]}


def test_rendered_objects_are_valid(profile: KubernetesProfile, secret: str | None) -> None:
    cluster = dask_cluster(profile, name=NAME, secret=secret)
    check(cluster)
    pods = list(pod_specs(cluster))
    assert len(pods) == 2
    for pod in pods:
        check(as_pod(pod))
    if (scaler := autoscaler(profile, name=NAME)) is not None:
        check(scaler)
    made = list(made_by_operator(cluster))
    assert [one["kind"] for one in made] == ["Deployment", "Service", "DaskWorkerGroup", "Deployment"]
    for one in made:
        check(one)


def test_strict_check_refuses(profile: KubernetesProfile) -> None:
    """The checks above can fail: on an unknown key, a wrong type and a missing part."""
    for spoil in (
        lambda spec: spec["worker"]["spec"].update(restartPolice="Always"),
        lambda spec: spec["worker"].update(replicas="3"),
        lambda spec: spec["scheduler"].pop("service"),
    ):
        cluster = dask_cluster(profile, name=NAME, secret=None)
        spoil(cluster["spec"])
        with pytest.raises(jsonschema.ValidationError):
            check(cluster)


@pytest.mark.parametrize("path", sorted((CLUSTER / "kubernetes").glob("*.yaml")), ids=lambda path: path.name)
def test_manifests_by_hand_are_valid(path: Path) -> None:
    for manifest in documents(path):
        check(manifest)


def test_every_pod_is_restricted(profile: KubernetesProfile, secret: str | None) -> None:
    """As setup.yaml asks of the namespace (Pod Security level `restricted`), and with a root that is read only."""
    manifests = [
        dask_cluster(profile, name=NAME, secret=secret),
        *documents(CLUSTER / "kubernetes/driver.yaml"),
    ]
    pods = [pod for manifest in manifests for pod in pod_specs(manifest)]
    assert len(pods) == 3
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert {tuple(volume.keys() - {"name"}) for volume in pod["volumes"]} <= {
            (kind,) for kind in ("emptyDir", "secret", "configMap", "persistentVolumeClaim")
        }
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"] == container["resources"]["requests"]


def test_workers_get_what_the_profile_says() -> None:
    profile = KubernetesProfile(**PROFILES["adaptive"] | {"gpus": 2, "memory": "1.5GB"})
    worker = dask_cluster(profile, name=NAME, secret=SECRET)["spec"]["worker"]
    assert worker["replicas"] == 2
    limits = worker["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "4", "memory": "1500M", "nvidia.com/gpu": "2"}
    assert worker["spec"]["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    found = env(worker["spec"])
    assert [found[key] for key in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")] == ["4"] * 3
    command = worker["spec"]["containers"][0]["command"]
    assert command[command.index("--memory-limit") + 1] == "1500MB"
    assert command[command.index("--nthreads") + 1] == "1"
    assert command[2] == "tls://dyadid-0a1b2c-scheduler.default.svc:8786" == found["DASK_SCHEDULER_ADDRESS"]
    scaler = autoscaler(profile, name=NAME)
    assert scaler is not None
    assert scaler["spec"] == {"cluster": NAME, "minimum": 2, "maximum": 7}


def test_without_gpus_none_is_asked_for() -> None:
    cluster = dask_cluster(KubernetesProfile(**PLAIN), name=NAME, secret=None)
    assert "nvidia" not in json.dumps(cluster)
    assert autoscaler(KubernetesProfile(**PLAIN), name=NAME) is None


def test_operator_leaves_the_address_alone(profile: KubernetesProfile) -> None:
    """It sets tcp:// where a worker has no address of its own."""
    *_, deployment = made_by_operator(dask_cluster(profile, name=NAME, secret=SECRET))
    found = env(deployment["spec"]["template"]["spec"])
    assert found["DASK_SCHEDULER_ADDRESS"] == address(profile, name=NAME, tls=True)
    assert found["DASK_WORKER_NAME"] == deployment["metadata"]["name"]


def test_longest_name_is_one_the_operator_takes() -> None:
    longest = "a" * 40
    KubernetesProfile(**PLAIN | {"name": longest})
    with pytest.raises(ValueError, match="name"):
        KubernetesProfile(**PLAIN | {"name": longest + "a"})
    validate_cluster_name(f"{longest}-0a1b2c")


def test_only_the_scheduler_of_the_run_is_served(profile: KubernetesProfile) -> None:
    deployment, service, _, worker = made_by_operator(dask_cluster(profile, name=NAME, secret=None))
    assert service["spec"]["type"] == "ClusterIP"
    selected = service["spec"]["selector"].items()
    assert selected <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert not selected <= worker["spec"]["template"]["metadata"]["labels"].items()


def test_network_policy_covers_every_pod(profile: KubernetesProfile) -> None:
    """Pods that it does not select are open to all; pods that it does not let in could not work."""
    (policy,) = [
        one for one in documents(CLUSTER / "kubernetes/setup.yaml") if one["kind"] == "NetworkPolicy"
    ]
    assert policy["spec"]["podSelector"]["matchLabels"] == LABELS
    assert {"podSelector": {"matchLabels": LABELS}} in policy["spec"]["ingress"][0]["from"]
    (driver,) = documents(CLUSTER / "kubernetes/driver.yaml")
    scheduler, _, _, worker = made_by_operator(dask_cluster(profile, name=NAME, secret=None))
    for one in (driver, scheduler, worker):
        assert LABELS.items() <= one["spec"]["template"]["metadata"]["labels"].items()


def test_manifests_by_hand_agree_with_the_profile() -> None:
    profile = load_profile(CLUSTER / "kubernetes.yaml")
    assert isinstance(profile, KubernetesProfile)
    setup = {one["kind"]: one for one in documents(CLUSTER / "kubernetes/setup.yaml")}
    (driver,) = documents(CLUSTER / "kubernetes/driver.yaml")
    assert setup["Namespace"]["metadata"]["name"] == profile.namespace
    spaces = {one["metadata"]["namespace"] for kind, one in setup.items() if kind != "Namespace"}
    assert spaces | {driver["metadata"]["namespace"]} == {profile.namespace}
    pod = driver["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == profile.image
    assert pod["serviceAccountName"] == setup["ServiceAccount"]["metadata"]["name"]
    assert setup["RoleBinding"]["subjects"][0]["name"] == pod["serviceAccountName"]
    assert setup["RoleBinding"]["roleRef"]["name"] == setup["Role"]["metadata"]["name"]
    claims = [
        one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if "persistentVolumeClaim" in one
    ]
    assert claims == [setup["PersistentVolumeClaim"]["metadata"]["name"]]
