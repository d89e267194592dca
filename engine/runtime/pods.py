"""The Kubernetes objects of a run: what the Dask operator makes scheduler and workers from. Pure functions.

No object holds what a certificate says; pods mount a secret by its name.
"""

from __future__ import annotations

import re
from typing import Any

from engine.spec.cluster import Adaptive, KubernetesProfile

API = "kubernetes.dask.org/v1"
PORT, HTTP_PORT = 8786, 8787
LABELS = {"app.kubernetes.io/name": "dyadid"}  # of all pods; the network policy goes by it
CERTIFICATES = "/etc/dyadid/tls"
SECRET_KEYS = {"ca": "ca.crt", "cert": "tls.crt", "key": "tls.key"}

_IDLE_SECONDS = 3600  # without work, after which the operator removes what a killed driver left behind
_USER = 10001  # as in cluster/Dockerfile
_MEGABYTES = {"MB": 1, "GB": 1000}
_GPU = "nvidia.com/gpu"
# The operator asks the scheduler over HTTP who is idle and how many workers it wants: over TLS it cannot.
_ROUTES = [
    "distributed.http.health",
    "distributed.http.statics",
    "distributed.http.scheduler.info",
    "distributed.http.scheduler.api",
]


def address(profile: KubernetesProfile, *, name: str, tls: bool) -> str:
    """Where pods of the Kubernetes cluster reach the scheduler of the run ``name``."""
    return f"{_protocol(tls)}://{name}-scheduler.{profile.namespace}.svc:{PORT}"


def dask_cluster(profile: KubernetesProfile, *, name: str, secret: str | None) -> dict[str, Any]:
    """``DaskCluster`` of one run: a scheduler with its service, and a group of workers.

    Parameters
    ----------
    profile : KubernetesProfile
    name : str
        Of the run; at most 53 characters.
    secret : str or None
        Name of the secret that holds the certificates; None runs without TLS.
    """
    tls = secret is not None
    scheduler = _container(
        profile,
        "scheduler",
        [
            *("dask", "scheduler", "--protocol", _protocol(tls)),
            *("--port", str(PORT), "--dashboard-address", f":{HTTP_PORT}"),
        ],
        {"DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": str(_ROUTES)},
        tls=tls,
        resources={"cpu": "1", "memory": _memory(profile)},
    )
    healthy = {"httpGet": {"path": "/health", "port": "http-dashboard"}}
    scheduler |= {
        "ports": [
            {"name": "tcp-comm", "containerPort": PORT, "protocol": "TCP"},
            {"name": "http-dashboard", "containerPort": HTTP_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": healthy | {"periodSeconds": 2, "timeoutSeconds": 5},
        # Three silences in a row restart it, and the run is lost: not while it takes in a large graph.
        "livenessProbe": healthy | {"periodSeconds": 60, "timeoutSeconds": 30},
    }
    labels = LABELS | {"app.kubernetes.io/instance": name}
    return {
        "apiVersion": API,
        "kind": "DaskCluster",
        "metadata": {"name": name, "namespace": profile.namespace, "labels": labels},
        "spec": {
            "idleTimeout": _IDLE_SECONDS,
            "scheduler": {"spec": _pod(profile, scheduler, secret), "service": _service(name)},
            "worker": {
                "replicas": profile.least,
                "spec": _pod(profile, _worker(profile, name, tls), secret) | _nodes(profile),
            },
        },
    }


def autoscaler(profile: KubernetesProfile, *, name: str) -> dict[str, Any] | None:
    """``DaskAutoscaler`` of the run ``name`` where the number of workers follows the work, else None."""
    if not isinstance(profile.workers, Adaptive):
        return None
    return {
        "apiVersion": API,
        "kind": "DaskAutoscaler",
        "metadata": {"name": name, "namespace": profile.namespace, "labels": LABELS},
        "spec": {"cluster": name, "minimum": profile.least, "maximum": profile.most},
    }


def _worker(profile: KubernetesProfile, name: str, tls: bool) -> dict[str, Any]:
    threads = str(profile.threads)
    gpus = {_GPU: str(profile.gpus)} if profile.gpus else {}
    return _container(
        profile,
        "worker",
        [
            *("dask", "worker", address(profile, name=name, tls=tls), "--name", "$(DASK_WORKER_NAME)"),
            # Kubernetes restarts what ends, and says why it ended; a nanny would only take memory.
            *("--no-nanny", "--nthreads", "1", "--memory-limit", f"{_megabytes(profile)}MB"),
            *("--local-directory", "/tmp/dask", "--no-dashboard"),
        ],
        {
            **dict.fromkeys(("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads),
            "JAX_COMPILATION_CACHE_DIR": "/tmp/jax",  # a worker that is restarted compiles nothing again
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "DASK_SCHEDULER_ADDRESS": address(profile, name=name, tls=tls),  # else the operator sets tcp://
        },
        tls=tls,
        resources={"cpu": threads, "memory": _memory(profile), **gpus},
    )


def _container(
    profile: KubernetesProfile,
    role: str,
    command: list[str],
    env: dict[str, str],
    *,
    tls: bool,
    resources: dict[str, str],
) -> dict[str, Any]:
    mounts: list[dict[str, Any]] = [{"name": "scratch", "mountPath": "/tmp"}]
    env = {"HOME": "/tmp", **env}
    if tls:
        mounts.append({"name": "tls", "mountPath": CERTIFICATES, "readOnly": True})
        prefix = f"DASK_DISTRIBUTED__COMM__TLS__{role.upper()}__"
        env |= {
            "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": f"{CERTIFICATES}/{SECRET_KEYS['ca']}",
            f"{prefix}CERT": f"{CERTIFICATES}/{SECRET_KEYS['cert']}",
            f"{prefix}KEY": f"{CERTIFICATES}/{SECRET_KEYS['key']}",
        }
    return {
        "name": role,
        "image": profile.image,
        "command": command,
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "resources": {"requests": resources, "limits": dict(resources)},
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _pod(profile: KubernetesProfile, container: dict[str, Any], secret: str | None) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [{"name": "scratch", "emptyDir": {}}]
    if secret is not None:
        # Readable by the group alone, which is that of the pod's user.
        volumes.append({"name": "tls", "secret": {"secretName": secret, "defaultMode": 0o440}})
    account = {} if profile.service_account is None else {"serviceAccountName": profile.service_account}
    return {
        "containers": [container],
        "restartPolicy": "Always",  # the operator makes Deployments, which allow nothing else
        "automountServiceAccountToken": False,  # scheduler and workers have nothing to say to Kubernetes
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": volumes,
        **account,
    }


def _nodes(profile: KubernetesProfile) -> dict[str, Any]:
    """Which nodes the workers go to."""
    nodes: dict[str, Any] = {}
    if profile.node_selector:
        nodes["nodeSelector"] = dict(profile.node_selector)
    if profile.gpus:
        nodes["tolerations"] = [{"key": _GPU, "operator": "Exists", "effect": "NoSchedule"}]
    return nodes


def _service(name: str) -> dict[str, Any]:
    return {
        "type": "ClusterIP",  # nothing outside of the Kubernetes cluster reaches it
        "selector": {"dask.org/cluster-name": name, "dask.org/component": "scheduler"},
        "ports": [
            {"name": "tcp-comm", "protocol": "TCP", "port": PORT, "targetPort": "tcp-comm"},
            {"name": "http-dashboard", "protocol": "TCP", "port": HTTP_PORT, "targetPort": "http-dashboard"},
        ],
    }


def _protocol(tls: bool) -> str:
    return "tls" if tls else "tcp"


def _megabytes(profile: KubernetesProfile) -> int:
    number, unit = re.fullmatch(r"([\d.]+)\s*(MB|GB)", profile.memory).groups()  # type: ignore[union-attr]  # pattern in the spec
    return round(float(number) * _MEGABYTES[unit])


def _memory(profile: KubernetesProfile) -> str:
    return f"{_megabytes(profile)}M"  # both count in thousands
