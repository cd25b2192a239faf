"""What is said of AWS's machines, against AWS's own description of its API."""

from functools import cache
from importlib.util import find_spec
from typing import Any

from orchestrator.launch.rules.finding import Finding, Findings, said
from orchestrator.launch.rules.tree import Tree, at, entries

_RAYS_OWN = ("SubnetIds",)
"""What Ray makes something else of before it asks."""
_ADDED: dict[str, Any] = {"MinCount": 1, "MaxCount": 1}
"""What Ray adds."""


def knows_aws() -> bool:
    """Whether AWS's library is installed, which carries the description."""
    return find_spec("botocore") is not None


def aws_api_findings(values: Tree) -> Findings:
    """Fields that AWS does not know, and values of another kind than it takes."""
    for name, kind in entries(values, "available_node_types"):
        config = at(kind, "node_config")
        if not isinstance(config, dict):
            continue
        place = f"available_node_types.{name}.node_config"
        told = {str(field): value for field, value in config.items() if field not in _RAYS_OWN}
        for problem in _problems(told | _ADDED):
            yield Finding(place, "", said(problem), "See AWS's RunInstances, or cluster.yaml")


def _problems(parameters: dict[str, Any]) -> list[str]:
    from botocore.validate import ParamValidator  # noqa: PLC0415 - it may not be installed

    try:
        report = ParamValidator().validate(parameters, _run_instances())
    except (TypeError, AttributeError, ValueError, RecursionError) as error:
        return [f"AWS's library cannot read it ({error})"]
    return str(report.generate_report()).splitlines()


@cache
def _run_instances() -> Any:  # noqa: ANN401 - botocore ships no types
    from botocore.session import get_session  # noqa: PLC0415

    service = get_session().get_service_model("ec2")
    return service.operation_model("RunInstances").input_shape
