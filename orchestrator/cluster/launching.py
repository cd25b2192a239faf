"""Files of clusters, checked by Ray's schema, KubeRay's definitions and our own rules."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import yaml
from jsonschema import Draft7Validator

from orchestrator.cluster.internals import check_version
from orchestrator.cluster.launcher_internals import launcher_refusal, launcher_schema
from orchestrator.errors import ConfigError
from orchestrator.launch.description import Description
from orchestrator.launch.loading import load_description
from orchestrator.launch.reading import Kind, examples_in, kind_of, read_documents
from orchestrator.launch.rendering import Target, rendered
from orchestrator.launch.rules.aws import aws_findings
from orchestrator.launch.rules.aws_api import aws_api_findings, knows_aws
from orchestrator.launch.rules.crd import Schemas, crd_findings, schemas_of
from orchestrator.launch.rules.finding import Finding, Findings, said, shown
from orchestrator.launch.rules.fleet import fleet_findings
from orchestrator.launch.rules.groups import launcher_groups
from orchestrator.launch.rules.kubernetes import cluster_of, kubernetes_findings
from orchestrator.launch.rules.launcher import image_findings, launcher_findings
from orchestrator.launch.rules.others import azure_findings, gcp_findings
from orchestrator.launch.rules.tree import at, text

_API = "ray.io/v1"
_QUICK = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""KubeRay's definitions have 40,000 lines."""
_OF_CLOUD = {"aws": aws_findings, "gcp": gcp_findings, "azure": azure_findings}


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in a file."""

    kind: Kind
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What was not looked at, and what is left to be put in."""


def check(path: Path, definitions: Path | None) -> Checked:
    """Look at a file from all sides, in one pass.

    Args:
        path: A description, a file for ``ray up``, or Kubernetes files.
        definitions: A folder or file with KubeRay's ``CustomResourceDefinition``; None: what it
            would say is left out.

    Raises:
        ConfigError: The file cannot be read at all.
        JobError: Another Ray is installed than the one that this was built on.
    """
    check_version()
    documents = read_documents(path)
    kind = kind_of(documents[0])
    notes = [f"{one} is the example's: put in your own" for one in examples_in(path)]
    found: list[Finding] = list(_strangers(documents, kind))
    match kind:
        case "kubernetes":
            schemas = {} if definitions is None else _schemas(definitions)
            found += _kubernetes(documents, schemas)
            if definitions is None:
                notes.append("not held against KubeRay's own schemas: name them with --crds")
        case "launcher":
            found += launcher_file_findings(documents[0])
            if text(documents[0], "provider", "type") == "aws" and not knows_aws():
                notes.append("not held against AWS's own API: install boto3")
        case "description":
            found += _description(path)
    return Checked(kind, tuple(found), tuple(notes))


def _strangers(documents: Sequence[Any], kind: Kind) -> Findings:
    """Documents that whoever reads the first of a file does not read, or not as meant."""
    for number, document in enumerate(documents[1:], 2):
        if kind != "kubernetes" or kind_of(document) != "kubernetes":
            yield Finding(
                f"document {number}",
                "",
                f"does not belong into a {kind} file",
                "Move it to a file of its own",
            )


def launcher_file_findings(values: Any) -> Findings:  # noqa: ANN401 - whatever a file holds
    """What Ray and our rules find wrong with a file for ``ray up``."""
    yield from ray_findings(values)
    groups = launcher_groups(values)
    yield from fleet_findings(groups)
    yield from launcher_findings(values, groups)
    yield from image_findings(values, ray.__version__)
    cloud = text(values, "provider", "type")
    if cloud in _OF_CLOUD:
        yield from _OF_CLOUD[cloud](values)
    if cloud == "aws" and knows_aws():
        yield from aws_api_findings(values)


def ray_findings(values: Any) -> Findings:  # noqa: ANN401 - whatever a file holds
    """Where Ray's launcher would refuse a file."""
    remedy = "See Ray's cluster YAML configuration, or compare cluster.yaml"
    errors = list(_schema_errors(values))
    for place, value, problem in errors:
        yield Finding(place, value, problem, remedy)
    if errors:
        return
    refusal = launcher_refusal(values)
    if refusal is not None:
        yield Finding("the file", "", f"Ray refuses it: {said(refusal)}", remedy)


def _schema_errors(values: Any) -> Iterator[tuple[str, str, str]]:  # noqa: ANN401
    """All that Ray's own schema refuses; its own check names the first."""
    for error in Draft7Validator(launcher_schema()).iter_errors(values):
        place = ".".join(map(str, error.absolute_path)) or "the file"
        value = shown(error.instance) if error.absolute_path else ""
        yield place, value, said(error.message)


def _kubernetes(documents: Sequence[Any], schemas: Schemas) -> Findings:
    clusters = [cluster_of(document) for document in documents]
    if not any(clusters):
        yield Finding(
            "the file",
            "",
            "holds neither a RayCluster nor a RayJob",
            "Render one with orchestrator cluster render --to kuberay",
        )
    for document, found in zip(documents, clusters, strict=True):
        yield from crd_findings(document, schemas)
        if found is None:
            continue
        cluster, place = found
        if text(document, "apiVersion") != _API:
            yield Finding(
                "apiVersion",
                shown(at(document, "apiVersion")),
                "is not what KubeRay serves",
                f"Write {_API}",
            )
        version = text(cluster, "rayVersion")
        if version != ray.__version__:
            yield Finding(
                f"{place}.rayVersion",
                shown(version),
                f"is not the {ray.__version__} that the project is built on",
                f"Write {ray.__version__}",
            )
    yield from kubernetes_findings(documents)


def _schemas(definitions: Path) -> Schemas:
    files = sorted(definitions.glob("*.yaml")) if definitions.is_dir() else [definitions]
    try:
        read = [yaml.load(file.read_bytes(), _QUICK) for file in files]
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot be read ({error})", str(definitions), _CRDS) from error
    schemas = {name: schema for one in read for name, schema in schemas_of(one)}
    if not schemas:
        raise ConfigError("holds no CustomResourceDefinition", str(definitions), _CRDS)
    return schemas


_CRDS = "Name KubeRay's files ray.io_rayclusters.yaml and ray.io_rayjobs.yaml, or their folder"


def _description(path: Path) -> Findings:
    description = load_description(path)
    for to in _clouds(description):
        documents = rendered(description, to, path)
        found = (
            _kubernetes(documents, {})
            if to == "kuberay"
            else launcher_file_findings(documents[0])
        )
        for one in found:
            place = f"{to}, rendered: {one.place}"
            yield Finding(place, one.value, one.problem, one.remedy)


def _clouds(description: Description) -> list[Target]:
    said: list[tuple[Target, object]] = [
        ("aws", description.aws),
        ("gcp", description.gcp),
        ("azure", description.azure),
        ("kuberay", description.kubernetes),
    ]
    return [name for name, cloud in said if cloud is not None]
