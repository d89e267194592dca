"""A double of a Kubernetes API server: as much of one as a run and the real Dask operator need.

It keeps objects in memory, refuses what strict schemas or a role refuse, streams changes, removes what belongs to a
removed object, and forwards ports. `kubelet_double` has the pods.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import jsonschema
from kubernetes_schemas import check
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection

# Of every scheduler: a loopback address of this process, so that the ports are free. Linux has all of 127.0.0.0/8.
HOST = f"127.86.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
_KINDS = {
    "v1": ("Pod", "Service", "Secret", "Event", "Namespace"),
    "apps/v1": ("Deployment",),
    "kubernetes.dask.org/v1": ("DaskCluster", "DaskWorkerGroup", "DaskAutoscaler", "DaskJob"),
    "apiextensions.k8s.io/v1": ("CustomResourceDefinition",),
}
_WHOLE = ("Namespace", "CustomResourceDefinition")
Key = tuple[str, str, str]  # plural, namespace, name


class Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Api(ThreadingHTTPServer):
    """Objects by key, every change in order, and what callers did."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[Key, dict[str, Any]] = {}
        self.changes: list[tuple[str, str, dict[str, Any]]] = []  # kind of change, plural, object
        self.calls: list[tuple[str, str, str, str]] = []  # token, group, verb, plural
        self.rules: dict[str, list[dict[str, Any]]] = {}  # of a role, by token; other tokens may do anything
        self.changed = threading.Condition(threading.RLock())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def of(self, plural: str) -> list[dict[str, Any]]:
        with self.changed:
            return [one for key, one in self.objects.items() if key[0] == plural]

    def get(self, key: Key) -> dict[str, Any]:
        if key not in self.objects:
            raise Refused(404, f'{key[0]} "{key[2]}" not found')
        return self.objects[key]

    def put(self, key: Key, what: dict[str, Any], change: str) -> dict[str, Any]:
        with self.changed:
            what["metadata"]["resourceVersion"] = str(len(self.changes) + 1)
            self.objects[key] = what
            self.changes.append((change, key[0], json.loads(json.dumps(what))))
            self.changed.notify_all()
            return what

    def create(self, key: Key, what: dict[str, Any]) -> dict[str, Any]:
        try:
            check(what)
        except jsonschema.ValidationError as error:
            raise Refused(422, error.message) from None
        with self.changed:
            if key in self.objects:
                raise Refused(409, f'{key[0]} "{key[2]}" already exists')
            what["metadata"] |= {
                "namespace": key[1],
                "uid": str(uuid.uuid4()),
                "creationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            what.setdefault("status", {})  # pods have one from the start
            for name, text in what.pop("stringData", {}).items():
                what.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()
            made = self.put(key, what, "ADDED")
            if self._is_orphan(what):
                self.delete(key)
            return made

    def _is_orphan(self, what: dict[str, Any]) -> bool:
        """It has owners, who all went before it came: Kubernetes collects such objects."""
        owners = {owner["uid"] for owner in what["metadata"].get("ownerReferences", [])}
        return bool(owners) and owners.isdisjoint(one["metadata"]["uid"] for one in self.objects.values())

    def patch(self, key: Key, change: Any) -> dict[str, Any]:
        with self.changed:
            found = json.loads(json.dumps(self.get(key)))
            found = _patched(found, change) if isinstance(change, list) else _merged(found, change)
            self.put(key, found, "MODIFIED")
            self._finish(key)
            return found

    def delete(self, key: Key) -> dict[str, Any]:
        with self.changed:
            found = self.get(key)
            found["metadata"].setdefault(
                "deletionTimestamp", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            )
            self.put(key, found, "MODIFIED")
            self._finish(key)
            return found

    def _finish(self, key: Key) -> None:
        """What is to be deleted goes when nobody holds it any more, and takes along what it owns."""
        found = self.objects[key]
        if not found["metadata"].get("deletionTimestamp") or found["metadata"].get("finalizers"):
            return
        self.put(key, found, "DELETED")
        del self.objects[key]
        uid = found["metadata"]["uid"]
        for other, what in list(self.objects.items()):
            if any(owner["uid"] == uid for owner in what["metadata"].get("ownerReferences", [])):
                self.delete(other)


def _merged(found: Any, change: Any) -> Any:
    """A JSON merge patch."""
    if not isinstance(change, dict):
        return change
    found = dict(found) if isinstance(found, dict) else {}
    for key, value in change.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), value)
    return found


def _patched(found: Any, steps: list[dict[str, Any]]) -> Any:
    """A JSON patch."""
    for step in steps:
        *path, last = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
        place: Any = found
        for part in path:
            place = place[int(part) if isinstance(place, list) else part]
        at = last if isinstance(place, dict) else len(place) if last == "-" else int(last)
        if step["op"] == "test":
            now = place.get(at) if isinstance(place, dict) else place[at]
            if now != step["value"]:
                raise Refused(422, f"test of {step['path']} failed: it is {now!r}")
        elif step["op"] == "remove":
            del place[at]
        elif isinstance(place, list) and step["op"] == "add":
            place.insert(at, step["value"])
        else:
            place[at] = step["value"]
    return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Api
    _verbs: ClassVar[dict[str, str]] = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        try:
            answer = self._answer(url.path.strip("/").split("/"), parse_qs(url.query), body)
        except Refused as error:
            self._send(
                {"kind": "Status", "status": "Failure", "message": str(error), "code": error.code}, error.code
            )
        else:
            if answer is not None:
                self._send(answer)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def _send(self, answer: dict[str, Any], code: int = 200) -> None:
        data = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _answer(self, parts: list[str], query: dict[str, list[str]], body: Any) -> dict[str, Any] | None:
        if parts == ["version"]:
            return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
        if parts == ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        if parts == ["apis"]:
            groups = [version for version in _KINDS if "/" in version]
            return {"kind": "APIGroupList", "groups": [_group(version) for version in groups]}
        version = "v1" if parts[0] == "api" else "/".join(parts[1:3])
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if version not in _KINDS:
            raise Refused(404, f"no such group: {version}")
        if not rest:
            return {"kind": "APIResourceList", "groupVersion": version, "resources": _resources(version)}
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        plural, name = rest[0], rest[1] if len(rest) > 1 else ""
        if plural not in [f"{kind.lower()}s" for kind in _KINDS[version]]:
            raise Refused(404, f"no such resource: {plural}")
        verb = self._verbs.get(self.command) or ("get" if name else "watch" if "watch" in query else "list")
        token = self.headers.get("authorization", "").rpartition(" ")[2]
        group = version.rpartition("/")[0]
        self.server.calls.append((token, group, verb, plural))
        if not _allowed(self.server.rules.get(token), group, plural, verb, name):
            raise Refused(403, f'{token} cannot {verb} resource "{plural}" in the namespace "{namespace}"')
        if verb == "watch":
            self._watch(plural, query)
            return None
        if rest[2:] == ["portforward"]:
            self._forward(int(query["ports"][0]))
            return None
        with self.server.changed:
            if verb == "list":
                items = [one for one in self.server.of(plural) if _selected(one, namespace, query)]
                version = str(len(self.server.changes))
                return {"kind": "List", "metadata": {"resourceVersion": version}, "items": items}
            if verb == "create":
                name = (
                    body["metadata"].get("name")
                    or f"{body['metadata']['generateName']}{uuid.uuid4().hex[:5]}"
                )
                return self.server.create((plural, namespace, name), body)
            if verb == "patch":
                return self.server.patch((plural, namespace, name), body)
            return getattr(self.server, verb)((plural, namespace, name))

    def _watch(self, plural: str, query: dict[str, list[str]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        seen = int(query.get("resourceVersion", ["0"])[0] or 0)
        try:
            while True:
                with self.server.changed:
                    if len(self.server.changes) == seen:
                        self.server.changed.wait(timeout=1)
                    new = self.server.changes[seen:]
                    seen += len(new)
                for change, of, what in new:
                    if of == plural and _selected(what, "", query):
                        self.wfile.write(json.dumps({"type": change, "object": what}).encode() + b"\n")
                self.wfile.flush()
        except OSError:
            self.close_connection = True

    def _forward(self, port: int) -> None:
        """A websocket to a port of the scheduler's pod: one channel for data, one for errors, each named once."""
        socket_here = WSConnection(ConnectionType.SERVER)
        headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        socket_here.initiate_upgrade_connection(headers, self.path)
        self.connection.sendall(socket_here.send(AcceptConnection()))
        for channel in (b"\x00", b"\x01"):
            self.connection.sendall(socket_here.send(BytesMessage(channel + port.to_bytes(2, "little"))))
        self.close_connection = True
        with socket.create_connection((HOST, port)) as there:
            threading.Thread(target=self._back, args=(there, socket_here), daemon=True).start()
            message = b""
            while data := self.connection.recv(1 << 16):
                socket_here.receive_data(data)
                for event in socket_here.events():
                    if isinstance(event, CloseConnection):
                        return
                    if isinstance(event, BytesMessage):
                        message += event.data
                        if event.message_finished:
                            there.sendall(message[1:])
                            message = b""

    def _back(self, there: socket.socket, here: WSConnection) -> None:
        with suppress(OSError):
            while data := there.recv(1 << 16):
                self.connection.sendall(here.send(BytesMessage(b"\x00" + data)))


def _allowed(rules: list[dict[str, Any]] | None, group: str, plural: str, verb: str, name: str) -> bool:
    return rules is None or any(
        group in one["apiGroups"]
        and plural in one["resources"]
        and verb in one["verbs"]
        and name in one.get("resourceNames", [name])
        for one in rules
    )


def _selected(what: dict[str, Any], namespace: str, query: dict[str, list[str]]) -> bool:
    meta = what["metadata"]
    labels = [one.split("=") for text in query.get("labelSelector", []) for one in text.split(",") if one]
    fields = [one.split("=") for text in query.get("fieldSelector", []) for one in text.split(",") if one]
    return (
        namespace in ("", meta.get("namespace"))
        and all(meta.get("labels", {}).get(key) == value for key, *_, value in labels)
        and all(meta["name"] == value for key, *_, value in fields if key == "metadata.name")
    )


def _group(version: str) -> dict[str, Any]:
    one = {"groupVersion": version, "version": version.partition("/")[2]}
    return {"name": version.partition("/")[0], "versions": [one], "preferredVersion": one}


def _resources(version: str) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{kind.lower()}s{part}",
            "singularName": kind.lower(),
            "kind": kind,
            "namespaced": kind not in _WHOLE,
            "verbs": ["get", "patch"] if part else ["create", "delete", "get", "list", "patch", "watch"],
        }
        for kind in _KINDS[version]
        for part in ("", "/status")
    ]
