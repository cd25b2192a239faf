"""Files for Google Cloud, Azure and Kubernetes against what those publish of their APIs."""

import json
from pathlib import Path
from typing import Any

import googleapiclient
import kubernetes_validate
import pytest
import ray.autoscaler
from ray.autoscaler._private.gcp.config import _configure_subnet, get_node_type
from ray.autoscaler._private.gcp.node import GCPCompute, GCPNodeType

from orchestrator.launch.description import Description
from orchestrator.launch.loading import load_description
from orchestrator.launch.rendering import Kind, rendered

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "clusters/spot_l4.yaml"


@pytest.fixture(scope="module")
def description() -> Description:
    return load_description(SOURCE)


@pytest.fixture(scope="module")
def google() -> dict[str, Any]:
    """The schemas of Google's Compute API, as its own client carries them."""
    folder = Path(googleapiclient.__file__).parent / "discovery_cache/documents"
    found: dict[str, Any] = json.loads((folder / "compute.v1.json").read_text())["schemas"]
    return found


def unknown(
    value: Any, schema: dict[str, Any], schemas: dict[str, Any], place: str
) -> list[str]:
    """Where a value is not what Google's API takes."""
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    match schema.get("type"):
        case "object" if isinstance(value, dict):
            known, free = schema.get("properties", {}), schema.get("additionalProperties")
            found = []
            for name, part in value.items():
                inner = known.get(name, free)
                here = f"{place}.{name}"
                found += [here] if inner is None else unknown(part, inner, schemas, here)
            return found
        case "array" if isinstance(value, list):
            return [
                one for part in value for one in unknown(part, schema["items"], schemas, place)
            ]
        case "string":
            # Numbers of 64 bits are text or numbers.
            fine = isinstance(value, str) or ("int64" in str(schema.get("format")))
            allowed = schema.get("enum")
            return [] if fine and (allowed is None or value in allowed) else [place]
        case "integer" | "number":
            return [] if isinstance(value, int | float) else [place]
        case "boolean":
            return [] if isinstance(value, bool) else [place]
    return [place]


def gcp_machines(description: Description) -> dict[str, Any]:
    [values] = rendered(description, "gcp", SOURCE)
    return {name: kind["node_config"] for name, kind in values["available_node_types"].items()}


def as_google_takes_it(config: dict[str, Any]) -> dict[str, Any]:
    """Ray's files write a list of one where the API has one thing; the API takes either."""
    [scheduling] = config["scheduling"]
    return {**config, "scheduling": scheduling}


def test_googles_api_knows_all_that_is_said_of_a_machine(
    description: Description, google: dict[str, Any]
) -> None:
    for name, config in gcp_machines(description).items():
        told = as_google_takes_it(config)
        assert unknown(told, {"$ref": "Instance"}, google, name) == []


def test_googles_schema_finds_what_is_misspelt(
    description: Description, google: dict[str, Any]
) -> None:
    config = as_google_takes_it(gcp_machines(description)["head"])
    config["scheduling"] = {"provisionningModel": "SPOT"}
    config["disks"] = [{"boot": "yes"}]
    wrong = unknown(config, {"$ref": "Instance"}, google, "head")
    assert wrong == ["head.disks.boot", "head.scheduling.provisionningModel"]


def test_rays_bootstrap_for_google_leaves_networks_alone_and_makes_urls(
    description: Description,
) -> None:
    [values] = rendered(description, "gcp", SOURCE)
    # It asks nobody: every machine names its network.
    assert _configure_subnet(values, None) == values
    provider = values["provider"]
    compute = GCPCompute(
        None, provider["project_id"], provider["availability_zone"], values["cluster_name"]
    )
    for config in gcp_machines(description).values():
        assert get_node_type(config) is GCPNodeType.COMPUTE
        told = compute._convert_resources_to_urls(config)
        kind = config["machineType"]
        assert told["machineType"] == f"zones/us-central1-a/machineTypes/{kind}"


def test_rays_template_for_azure_takes_all_that_is_said_of_a_machine(
    description: Description,
) -> None:
    folder = Path(ray.autoscaler.__file__).parent / "_private/_azure"
    template = json.loads((folder / "azure-vm-template.json").read_text())["parameters"]
    kinds = {"string": str, "int": int, "bool": bool, "object": dict, "array": list}
    [values] = rendered(description, "azure", SOURCE)
    for kind in values["available_node_types"].values():
        told = kind["node_config"]["azure_arm_parameters"]
        for name, value in told.items():
            assert isinstance(value, kinds[template[name]["type"]]), name
        # What Ray adds of its own, and what has no default.
        added = {"vmName", "vmTags", "vmCount", "msi", "nsg", "subnet"}
        added |= {"adminUsername", "publicKey"}
        needed = {name for name, one in template.items() if "defaultValue" not in one}
        assert needed <= added | set(told)


@pytest.mark.parametrize("kind", ["cluster", "job"])
def test_kubernetes_takes_every_document_and_every_pod(
    description: Description, kind: Kind
) -> None:
    first, *guards = rendered(description, "kuberay", SOURCE, kind)
    assert {guard["kind"] for guard in guards} == {"PodDisruptionBudget", "NetworkPolicy"}
    for guard in guards:
        kubernetes_validate.validate(guard, "1.33", strict=True)
    spec = first["spec"] if kind == "cluster" else first["spec"]["rayClusterSpec"]
    templates = [spec["headGroupSpec"]["template"]]
    templates += [group["template"] for group in spec["workerGroupSpecs"]]
    templates += [first["spec"]["submitterPodTemplate"]] if kind == "job" else []
    for template in templates:
        metadata = {"name": "pod", **template["metadata"]}
        pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata}
        kubernetes_validate.validate(pod, "1.33", strict=True)


def test_kubernetes_refuses_a_field_that_it_does_not_know(description: Description) -> None:
    _, budget, *_ = rendered(description, "kuberay", SOURCE)
    wrong = {**budget, "spec": {**budget["spec"], "maxUnavaliable": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.33", strict=True)
