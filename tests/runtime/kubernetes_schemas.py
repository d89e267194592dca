"""What a Kubernetes API server would say to a manifest, from schemas that packages ship: no server is asked."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

VERSIONS = (
    "1.28",
    kubernetes_validate.latest_version(),
)  # oldest that still gets support somewhere, and newest
_CRDS = "operator/deployment/helm/dask-kubernetes-operator/crds"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def check(manifest: dict[str, Any]) -> None:
    """Raise a validation error unless the manifest is valid, with no key that its schema does not know."""
    if manifest["apiVersion"].startswith("kubernetes.dask.org/"):
        check_custom(manifest)
        return
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


def check_custom(manifest: dict[str, Any]) -> None:
    """The same for what the Dask operator brings, by the definitions in its Helm chart."""
    _definition(manifest["kind"]).validate(manifest)


@cache
def _definition(kind: str) -> jsonschema.Draft202012Validator:
    path = files("dask_kubernetes").joinpath(f"{_CRDS}/{kind.lower()}.yaml")
    definition = yaml.safe_load(path.read_text())
    (version,) = (one for one in definition["spec"]["versions"] if one["name"] == "v1")
    schema = version["schema"]["openAPIV3Schema"]
    # Every object has these three, whatever its definition says of them.
    schema["properties"] |= {
        "apiVersion": {"type": "string"},
        "kind": {"const": kind},
        "metadata": {"type": "object"},
    }
    return jsonschema.Draft202012Validator(_strict(schema))


def as_pod(spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}


def _strict(schema: Any) -> Any:
    """Keys that a definition does not know are refused; a server would drop them without a word."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = (
        {"additionalProperties": False} if schema.get("type") == "object" and "properties" in schema else {}
    )
    return closed | {key: _strict(value) for key, value in schema.items()}
