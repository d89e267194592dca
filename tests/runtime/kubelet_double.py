"""Pods as processes of this machine, for the double of a Kubernetes cluster in `kubernetes_double`."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from kubernetes_double import HOST, Api, Refused


class Kubelet(threading.Thread):
    """Runs a process for each deployment with its command and environment; starts it again when it dies."""

    def __init__(self, api: Api, folder: Path) -> None:
        super().__init__(daemon=True)
        self.api, self.folder = api, folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._launch: dict[str, Callable[[], subprocess.Popen[bytes]]] = {}
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(0.2):
            wanted = {one["metadata"]["name"]: one for one in self.api.of("deployments")}
            for name in wanted.keys() - self.processes.keys():
                try:
                    self._start(name, wanted[name])
                except Refused as refused:
                    if refused.code != 404:  # else it is deleted while it starts
                        raise
            self._end(self.processes.keys() - wanted.keys())
            for name, process in self.processes.items():
                if process.poll() is not None:
                    self.processes[name] = self._launch[name]()

    def stop(self) -> None:
        self._stopped.set()
        self.join()
        self._end(set(self.processes))

    def _end(self, names: set[str]) -> None:
        """A request to end, and what does not heed it is killed, after 5 s instead of 30."""
        processes = [self.processes.pop(name) for name in names]
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, deployment: dict[str, Any]) -> None:
        template, namespace = deployment["spec"]["template"], deployment["metadata"]["namespace"]
        (container,) = template["spec"]["containers"]
        mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        folder = self.folder / name
        places = {}  # path within the pod: path here
        for volume in template["spec"]["volumes"]:
            here = folder / volume["name"]
            here.mkdir(parents=True)
            places[mounts[volume["name"]]] = str(here)
            if "secret" in volume:
                secret = self._secret(volume["secret"]["secretName"], namespace)
                for key, value in secret["data"].items():
                    (here / key).write_bytes(base64.b64decode(value))
        env = {one["name"]: one["value"] for one in container["env"]}
        run = name.partition("-default-worker-")[0].removesuffix("-scheduler")
        host = f"{run}-scheduler.{namespace}.svc"

        def seen(text: str) -> str:
            for there, here in places.items():
                text = text.replace(f"{there}/", f"{here}/") if text != there else here
            return text.replace(host, HOST).replace("$(DASK_WORKER_NAME)", env.get("DASK_WORKER_NAME", ""))

        command = [seen(text) for text in container["command"]]
        assert command[0] == "dask"
        is_scheduler = command[1] == "scheduler"
        command = [
            f"{HOST}:8787" if text == ":8787" else text for text in command
        ]  # beyond loopback nothing listens
        environment = {**os.environ, **{key: seen(value) for key, value in env.items()}}
        log = (folder / "log").open("wb")
        self._launch[name] = partial(
            subprocess.Popen,
            [sys.executable, "-m", "dask", *command[1:], "--host", HOST if is_scheduler else "127.0.0.1"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        self.processes[name] = self._launch[name]()
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-0",
                "labels": template["metadata"]["labels"],
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": "Deployment",
                        "name": name,
                        "uid": deployment["metadata"]["uid"],
                    }
                ],
            },
            "spec": template["spec"],
        }
        key = ("pods", namespace, f"{name}-0")
        self.api.create(key, pod)
        if is_scheduler:
            _wait_healthy(f"http://{HOST}:8787/health")
            with self.api.changed:
                self.api.get(("deployments", namespace, name))
                (service,) = self.api.of("services")
                place = ("services", namespace, service["metadata"]["name"])
                self.api.patch(place, {"status": {"loadBalancer": {}}})
        ready = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
        self.api.patch(key, {"status": {"phase": "Running", "conditions": ready}})

    def _secret(self, name: str, namespace: str) -> dict[str, Any]:
        """A pod waits for its secret, as long as anything of the run is there."""
        key = ("secrets", namespace, name)
        with self.api.changed:
            assert self.api.changed.wait_for(
                lambda: key in self.api.objects or not self.api.of("deployments"), timeout=20
            )
            return self.api.get(key)


def _wait_healthy(url: str) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                assert answer.read() == b"ok"
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)
