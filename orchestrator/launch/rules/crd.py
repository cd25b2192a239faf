"""Kubernetes files against the schemas that a custom resource's own definition holds."""

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft4Validator

from orchestrator.launch.rules.finding import Finding, Findings, said, shown
from orchestrator.launch.rules.tree import Tree, at, items, text

Schemas = Mapping[tuple[str, str], dict[str, Any]]
"""By ``apiVersion`` and ``kind``."""

_KEEPS = "x-kubernetes-preserve-unknown-fields"


def schemas_of(definition: Tree) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """What a ``CustomResourceDefinition`` says of each of its versions."""
    group, kind = text(definition, "spec", "group"), text(definition, "spec", "names", "kind")
    for version in items(definition, "spec", "versions"):
        schema = at(version, "schema", "openAPIV3Schema")
        if isinstance(schema, dict):
            yield (f"{group}/{text(version, 'name')}", kind), strict(schema)


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of OpenAPI's as JSON Schema has it, which refuses fields that it does not know.

    Kubernetes drops those in silence. ``nullable`` becomes a type.
    """
    made = dict(schema)
    named = schema.get("properties")
    if isinstance(named, dict):
        made["properties"] = {name: strict(part) for name, part in named.items()}
        if not schema.get(_KEEPS):
            made.setdefault("additionalProperties", False)
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            made[inner] = strict(schema[inner])
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        made["type"] = [schema["type"], "null"]
    return made


def crd_findings(document: Tree, schemas: Schemas) -> Findings:
    """Where a document is not as its definition wants it; nothing where there is none."""
    schema = schemas.get((text(document, "apiVersion"), text(document, "kind")))
    if schema is None:
        return
    # What every resource has is not in the definition.
    inside = {name: part for name, part in document.items() if name != "metadata"}
    for error in Draft4Validator(schema).iter_errors(inside):
        yield Finding(
            ".".join(map(str, error.absolute_path)) or "the document",
            shown(error.instance),
            said(error.message),
            "See kubectl explain, or compare orchestrator cluster render --to kuberay",
        )
