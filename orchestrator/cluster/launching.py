"""Files of clusters, checked by Ray's schema, KubeRay's definitions and our own rules."""

import copy
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.autoscaler
import yaml
from jsonschema import Draft7Validator
from ray.autoscaler._private.util import prepare_config, validate_config

from orchestrator.errors import ConfigError
from orchestrator.launch.description import Description
from orchestrator.launch.loading import parse_description, read_yaml
from orchestrator.launch.reading import Kind, kind_of, read_documents
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
from orchestrator.launch.rules.tree import text

_OF_CLOUD = {"aws": aws_findings, "gcp": gcp_findings, "azure": azure_findings}


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in a file."""

    kind: Kind
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What was not looked at, and why."""


def check(path: Path, definitions: Path | None) -> Checked:
    """Look at a file from all sides, in one pass.

    Args:
        path: A description, a file for ``ray up``, or Kubernetes files.
        definitions: A folder or file with KubeRay's ``CustomResourceDefinition``; None: what it
            would say is left out.

    Raises:
        ConfigError: The file cannot be read at all.
    """
    documents = read_documents(path)
    kinds = {kind_of(document) for document in documents}
    schemas, notes = _schemas(definitions) if "kubernetes" in kinds else ({}, ())
    if "kubernetes" in kinds:
        found = [*_kubernetes(documents, schemas)]
        return Checked("kubernetes", tuple(found), notes)
    if "launcher" in kinds:
        found = [one for document in documents for one in launcher_file_findings(document)]
        notes = () if knows_aws() else ("not held against AWS's own API: install boto3",)
        return Checked("launcher", tuple(found), notes)
    return Checked("description", tuple(_description(path)), ())


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
    with _quiet():
        try:
            validate_config(prepare_config(copy.deepcopy(values)))
        except Exception as error:  # noqa: BLE001 - Ray's checks raise whatever they come upon
            why = said(str(error)) or type(error).__name__
            yield Finding("the file", "", f"Ray refuses it: {why}", remedy)


def _schema_errors(values: Any) -> Iterator[tuple[str, str, str]]:  # noqa: ANN401
    """All that Ray's own schema refuses; its own check names the first."""
    schema = Path(ray.autoscaler.__file__).with_name("ray-schema.json")
    for error in Draft7Validator(json.loads(schema.read_text())).iter_errors(values):
        place = ".".join(map(str, error.absolute_path)) or "the file"
        value = shown(error.instance) if error.absolute_path else ""
        yield place, value, said(error.message)


def _kubernetes(documents: Sequence[Any], schemas: Schemas) -> Findings:
    for document in documents:
        yield from crd_findings(document, schemas)
        found = cluster_of(document)
        if found is None:
            continue
        cluster, place = found
        version = text(cluster, "rayVersion")
        if version != ray.__version__:
            yield Finding(
                f"{place}.rayVersion",
                shown(version),
                f"is not the {ray.__version__} that the project is built on",
                f"Write {ray.__version__}",
            )
    yield from kubernetes_findings(documents)


def _schemas(definitions: Path | None) -> tuple[Schemas, tuple[str, ...]]:
    if definitions is None:
        note = "not held against KubeRay's own schemas: name their folder with --crds"
        return {}, (note,)
    files = sorted(definitions.glob("*.yaml")) if definitions.is_dir() else [definitions]
    try:
        read = [yaml.load(file.read_bytes(), yaml.CSafeLoader) for file in files]
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot be read ({error})", str(definitions), _CRDS) from error
    schemas = {name: schema for one in read for name, schema in schemas_of(one)}
    if not schemas:
        raise ConfigError("holds no CustomResourceDefinition", str(definitions), _CRDS)
    return schemas, ()


_CRDS = "Name KubeRay's files ray.io_rayclusters.yaml and ray.io_rayjobs.yaml, or their folder"


def _description(path: Path) -> Findings:
    description = parse_description(read_yaml(path), path)
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray's launcher warns in a log while it prepares a file: findings say it all."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
