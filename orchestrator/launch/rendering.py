"""A description as text for one of the launchers."""

from pathlib import Path
from typing import Literal, TypeVar

from orchestrator.errors import ConfigError
from orchestrator.launch import aws, azure, gcp, kuberay
from orchestrator.launch.description import Description
from orchestrator.launch.launcher_file import Values
from orchestrator.launch.loading import COMPARE
from orchestrator.launch.reasons import EDIT, KUBERAY, REASONS
from orchestrator.launch.writing import write_yaml

Target = Literal["aws", "gcp", "azure", "kuberay"]
Kind = Literal["cluster", "job"]
C = TypeVar("C")


def render(description: Description, to: Target, source: Path, kind: Kind = "cluster") -> str:
    """The file for a launcher, with a reason above each choice.

    Args:
        description: What is wanted.
        to: For whom.
        source: Where the description was read, for the heading.
        kind: For KubeRay, whether a cluster that stays or a job with one of its own.

    Raises:
        ConfigError: The description says nothing of that cloud.
    """
    documents = rendered(description, to, source, kind)
    heading = EDIT.format(cloud=to, source=source.as_posix())
    return write_yaml(documents, REASONS.get(to, KUBERAY), heading)


def rendered(
    description: Description, to: Target, source: Path, kind: Kind = "cluster"
) -> list[Values]:
    """The documents of that file as plain values: one for ``ray up``, several for KubeRay.

    Raises:
        ConfigError: The description says nothing of that cloud.
    """
    match to:
        case "aws":
            return [aws.render(description, _known(description.aws, to, source))]
        case "gcp":
            return [gcp.render(description, _known(description.gcp, to, source))]
        case "azure":
            return [azure.render(description, _known(description.azure, to, source))]
        case "kuberay":
            pods = _known(description.kubernetes, "kubernetes", source)
            if kind == "job":
                return kuberay.render_job(description, pods)
            return kuberay.render_cluster(description, pods)


def _known(cloud: C | None, section: str, source: Path) -> C:
    if cloud is None:
        raise ConfigError("there is no such section", f"{source}: {section}", COMPARE)
    return cloud
