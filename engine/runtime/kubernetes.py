"""A Dask cluster in Kubernetes for the time of one run, made and kept by the Dask operator.

`dask_kubernetes.KubeCluster` is not used: it reaches the scheduler without TLS only, and waits for ever for a pod
that cannot start.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import InputError, RunError
from engine.runtime.pods import API, LABELS, PORT, SECRET_KEYS, address, autoscaler, dask_cluster
from engine.runtime.script_words import refuse_unprintable
from engine.runtime.security import secured
from engine.runtime.workers import wait_for_workers
from engine.spec.cluster import KubernetesProfile

_OPERATOR_SECONDS = 60  # an operator that runs acts at once
_PAUSE = 0.5  # seconds between two looks
_OPERATOR = "install the Dask operator and apply cluster/kubernetes/setup.yaml, see README.md there"


@contextmanager
def kubernetes_client(profile: KubernetesProfile, folder: Path) -> Iterator[object]:
    """A client of a scheduler and workers in Kubernetes; they end with it, whatever happens.

    Parameters
    ----------
    profile : KubernetesProfile
    folder : Path
        Of certificates that are made for this run, while it lasts.

    Raises
    ------
    InputError
        The API server cannot be reached, refuses, or knows no Dask clusters; there is no such ``tls_secret``.
    RunError
        Scheduler or worker do not start within ``wait`` seconds.
    """
    from distributed import Client

    with (
        open_kubernetes(profile, folder) as (address, security),
        Client(address, security=security) as client,
    ):
        remedy = f"see what its pods wait for: kubectl -n {profile.namespace} describe pods"
        wait_for_workers(client, seconds=profile.wait, waited_for="the Kubernetes cluster", remedy=remedy)
        yield client


@contextmanager
def open_kubernetes(profile: KubernetesProfile, folder: Path) -> Iterator[tuple[str, object]]:
    """Address of a scheduler that is up, and the ``distributed.Security`` of its clients, None without TLS."""
    try:
        from kr8s import NotFoundError
        from kr8s.objects import Secret, new_class
    except ImportError:
        remedy = "pip install 'dyadid[cluster]'"
        raise InputError("Kubernetes needs the package kr8s", where="--cluster", remedy=remedy) from None

    refuse_unprintable(profile.model_dump(), where="--cluster")
    name = f"{profile.name}-{secrets.token_hex(3)}"  # two runs may go on at a time
    with _certificates(profile, folder) as security:
        secret = None if security is None else profile.tls_secret or f"{name}-tls"
        with _readable_answers(profile):
            cluster: Any = new_class("DaskCluster", API)(dask_cluster(profile, name=name, secret=secret))
            cluster.create()
        try:
            with _readable_answers(profile):
                if secret is not None and secret != profile.tls_secret:
                    Secret(_owned_by(cluster, _secret(secret, profile, security))).create()
                _wait_for_scheduler(cluster, profile)
                # Not before: an operator that finds no scheduler to ask looks again after a minute only.
                if (scaler := autoscaler(profile, name=name)) is not None:
                    new_class("DaskAutoscaler", API)(_owned_by(cluster, scaler)).create()
            with _way_to(profile, name, tls=security is not None) as scheduler:
                yield scheduler, security
        finally:
            try:
                cluster.delete()  # Kubernetes removes what belongs to it
            except NotFoundError:
                pass
            except Exception as error:  # of many kinds, and none may hide how the run ended
                logging.getLogger(__name__).warning(
                    "DaskCluster %s could not be removed (%s): kubectl -n %s delete daskcluster %s",
                    name,
                    error,
                    profile.namespace,
                    name,
                )


@contextmanager
def _way_to(profile: KubernetesProfile, name: str, *, tls: bool) -> Iterator[str]:
    """Address of the scheduler, as seen from here: by name within the Kubernetes cluster, else through its API."""
    cluster_address = address(profile, name=name, tls=tls)
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        yield cluster_address
        return
    from kr8s.objects import Service

    with _readable_answers(profile):
        service: Any = Service.get(f"{name}-scheduler", namespace=profile.namespace)
    with service.portforward(PORT, local_port="auto") as port:
        yield f"{cluster_address.partition('://')[0]}://127.0.0.1:{port}"


def _wait_for_scheduler(cluster: Any, profile: KubernetesProfile) -> None:
    from kr8s.objects import Pod

    begun = time.monotonic()
    selector = {"dask.org/cluster-name": cluster.name, "dask.org/component": "scheduler"}
    while True:
        waited = time.monotonic() - begun
        pods: list[Any] = list(Pod.list(namespace=profile.namespace, label_selector=selector))
        reasons = [_what_it_waits_for(pod.raw) for pod in pods]
        if None in reasons:
            return
        cluster.refresh()
        if waited > min(_OPERATOR_SECONDS, profile.wait) and not cluster.raw.get("status", {}).get("phase"):
            raise RunError(f"no operator has taken up DaskCluster {cluster.name}\n  hint: {_OPERATOR}")
        if waited > profile.wait:
            raise RunError(
                f"the scheduler's pod is not ready after {profile.wait:g} s ({reasons[0] if reasons else 'no pod'})\n"
                "  hint: look at image, memory and node_selector of the profile, or set wait higher; then run again"
            )
        time.sleep(_PAUSE)


def _what_it_waits_for(pod: dict[str, Any]) -> str | None:
    """Why a pod is not ready; None where it is."""
    status = pod.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    if conditions.get("Ready", {}).get("status") == "True":
        return None
    for container in status.get("containerStatuses", []):
        if waiting := container.get("state", {}).get("waiting"):
            return ": ".join(filter(None, (waiting.get("reason"), waiting.get("message"))))
    placed = conditions.get("PodScheduled", {})
    if placed.get("status") == "False":
        return ": ".join(filter(None, (placed.get("reason"), placed.get("message"))))
    return str(status.get("phase", "Pending"))


@contextmanager
def _certificates(profile: KubernetesProfile, folder: Path) -> Iterator[object]:
    """Those of the profile's secret, unless it names files or says that there are none."""
    if profile.tls_secret and profile.tls in ("auto", True):
        with _readable_answers(profile):
            stored = _security_of(profile.tls_secret, profile.namespace)
        yield stored
        return
    with secured(profile.tls, folder) as security:
        yield security


def _security_of(secret: str, namespace: str) -> object:
    """Certificates in a secret of the user; they stay in memory."""
    from distributed.security import Security
    from kr8s import NotFoundError
    from kr8s.objects import Secret

    remedy = f"make it in namespace {namespace}, see cluster/kubernetes/README.md"
    stored: Any = Secret({"metadata": {"name": secret, "namespace": namespace}})
    try:
        stored.refresh()  # by its name; to search would take the right to read others
    except NotFoundError:
        raise InputError(f"there is no secret {secret}", where="tls_secret", remedy=remedy) from None
    entries = stored.raw.get("data", {})
    absent = [key for key in SECRET_KEYS.values() if key not in entries]
    if absent:
        raise InputError(f"secret {secret} has no {', '.join(absent)}", where="tls_secret", remedy=remedy)
    ca, cert, key = (b64decode(entries[SECRET_KEYS[part]]).decode() for part in ("ca", "cert", "key"))
    return Security(tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key, require_encryption=True)


def _secret(name: str, profile: KubernetesProfile, security: Any) -> dict[str, object]:
    """A secret with the certificates of this run, from the files that ``security`` names."""
    parts = {"ca": security.tls_ca_file, "cert": security.tls_client_cert, "key": security.tls_client_key}
    content = {SECRET_KEYS[part]: Path(file).read_text(encoding="ascii") for part, file in parts.items()}
    metadata = {"name": name, "namespace": profile.namespace, "labels": LABELS}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "stringData": content,
    }


def _owned_by(cluster: Any, manifest: dict[str, Any]) -> dict[str, object]:
    """The same, and Kubernetes removes it when the cluster goes."""
    owner = {"apiVersion": API, "kind": "DaskCluster", "name": cluster.name, "uid": cluster.metadata.uid}
    return manifest | {"metadata": manifest["metadata"] | {"ownerReferences": [owner]}}


@contextmanager
def _readable_answers(profile: KubernetesProfile) -> Iterator[None]:
    """Errors of the API server in plain words."""
    import httpx
    from kr8s import APITimeoutError, NotFoundError, ServerError

    try:
        yield
    except InputError:
        raise
    except (
        httpx.TransportError,
        APITimeoutError,
        ValueError,
    ) as error:  # ValueError: no kubeconfig, or a broken one
        raise InputError(
            f"no Kubernetes API server answers ({str(error) or type(error).__name__})",
            where="kubeconfig",
            remedy="see that `kubectl get pods` works here",
        ) from None
    except NotFoundError as error:
        raise InputError(str(error), where=f"namespace {profile.namespace}", remedy=_OPERATOR) from None
    except ServerError as error:
        code = getattr(error.response, "status_code", None)
        remedies = {
            401: "log in to the Kubernetes cluster again",
            403: "let this user or service account do it, see Role in cluster/kubernetes/setup.yaml",
            404: _OPERATOR,
        }
        remedy = remedies.get(code or 0, "check the profile against what the message says")
        raise InputError(
            f"the Kubernetes API server refuses: {error}",
            where=f"namespace {profile.namespace}",
            remedy=remedy,
        ) from None
