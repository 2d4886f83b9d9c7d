"""The configurations that ship: every field is one that Serve, KubeRay and the cluster's settings know."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from signaling.cluster.settings import ClusterSettings

yaml = pytest.importorskip("yaml", reason="Ray brings it")

DEPLOY = Path(__file__).resolve().parents[3] / "deploy" / "cluster"


def manifest() -> dict[str, Any]:
    documents = list(yaml.safe_load_all((DEPLOY / "rayservice.yaml").read_text()))
    [service] = [one for one in documents if one["kind"] == "RayService"]
    return dict(service)


def configurations() -> list[dict[str, Any]]:
    return [
        yaml.safe_load((DEPLOY / "serve.yaml").read_text()),
        yaml.safe_load(manifest()["spec"]["serveConfigV2"]),
    ]


@pytest.mark.parametrize("which", [0, 1])
def test_the_settings_are_those_of_a_cluster(which: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LATENTCAM_")]:
        monkeypatch.delenv(name)
    [application] = configurations()[which]["applications"]
    settings = ClusterSettings(**application["args"])
    assert settings.replicas == 3
    assert settings.ports is not None
    assert application["import_path"] == "signaling.cluster.application:build"


@pytest.mark.parametrize("which", [0, 1])
def test_serve_takes_the_configuration(which: int) -> None:
    schema = pytest.importorskip("ray.serve.schema")
    [application] = schema.ServeDeploySchema(**configurations()[which]).applications
    assert application.route_prefix == "/"


def test_the_workers_have_room_for_an_update_and_the_head_has_no_replica() -> None:
    cluster = manifest()["spec"]["rayClusterConfig"]
    [application] = configurations()[1]["applications"]
    [workers] = cluster["workerGroupSpecs"]
    assert workers["replicas"] > application["args"]["replicas"]
    assert workers["maxReplicas"] > application["args"]["most_replicas"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    [container] = workers["template"]["spec"]["containers"]
    assert int(container["resources"]["limits"]["cpu"]) > application["args"]["replica_cpus"]


def test_kuberay_takes_the_manifest() -> None:
    """Against the operator's own schema, whose file `LATENTCAM_KUBERAY_CRD` names (ray.io_rayservices.yaml)."""
    file = os.environ.get("LATENTCAM_KUBERAY_CRD")
    if not file:
        pytest.skip("needs LATENTCAM_KUBERAY_CRD: KubeRay's ray.io_rayservices.yaml")
    jsonschema = pytest.importorskip("jsonschema")
    versions = yaml.safe_load(Path(file).read_text())["spec"]["versions"]
    [schema] = [one["schema"]["openAPIV3Schema"] for one in versions if one["name"] == "v1"]
    strict = json.loads(json.dumps(schema), object_hook=_without_other_fields)
    strict["properties"]["metadata"] = {"type": "object"}
    jsonschema.Draft202012Validator(strict).validate(manifest())


def _without_other_fields(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") == "object" and "properties" in schema:
        schema.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        schema = {}
    return schema
