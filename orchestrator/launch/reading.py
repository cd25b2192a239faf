"""A cluster's file as its launcher reads it, and what kind of file it is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml

from orchestrator.config.reading import read_text
from orchestrator.config.text import ODD_TAGS
from orchestrator.errors import ConfigError
from orchestrator.launch.loading import COMPARE

FIX = "Compare what orchestrator cluster render prints"
MOST_VALUES = 200_000
"""Beyond that, aliases have multiplied; a large file has some thousands."""
MOST_DEPTH = 64

EXAMPLES = (
    "my-bucket",
    "my-project",
    "registry.example.com",
    "sg-0123456789abcdef0",
    "00000000-0000-0000-0000-000000000000",
)
"""What stands in the project's own files for what is everybody's own."""

Kind = Literal["description", "launcher", "kubernetes"]


class _Loader(yaml.SafeLoader):
    """As ``ray up`` and Kubernetes read YAML (1.1), but refuses a key that is written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            named = (key.tag, str(key.value))
            # A merge (<<) may stand twice.
            if isinstance(key, yaml.ScalarNode) and named in seen and key.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} is written twice", key.start_mark
                )
            seen.add(named)
        return super().construct_mapping(node, deep=deep)


def read_documents(path: Path) -> list[Any]:
    """The documents of a file, empty ones left out.

    Raises:
        ConfigError: It cannot be read, is no YAML, or holds nothing.
    """
    text = read_text(path, compare=COMPARE)
    try:
        documents = [one for one in yaml.load_all(text, Loader=_Loader) if one is not None]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(error.problem or "is no YAML", f"{path}:{line}", FIX) from error
    except (yaml.YAMLError, *ODD_TAGS) as error:
        problem = (str(error) or "is nested too deeply").splitlines()[0]
        raise ConfigError(problem, str(path), FIX) from error
    if not documents:
        raise ConfigError("holds nothing", str(path), FIX)
    _refuse_monsters(documents, path)
    return documents


def examples_in(path: Path) -> list[str]:
    """What of a file is still the example's.

    Raises:
        ConfigError: It cannot be read.
    """
    text = read_text(path, compare=COMPARE)
    return [example for example in EXAMPLES if example in text]


def kind_of(document: Any) -> Kind:  # noqa: ANN401 - whatever a file holds
    """What a document is meant to be."""
    if isinstance(document, dict):
        if "apiVersion" in document or "kind" in document:
            return "kubernetes"
        if {"cluster_name", "available_node_types", "provider"} & set(document):
            return "launcher"
    return "description"


def _refuse_monsters(documents: list[Any], path: Path) -> None:
    """Refuse what aliases have made endless, or nearly."""
    for number, (_, depth) in enumerate(_values(documents, 0)):
        if number > MOST_VALUES or depth > MOST_DEPTH:
            problem = "its aliases make it endless" if depth > MOST_DEPTH else "is too large"
            raise ConfigError(problem, str(path), FIX)


def _values(tree: Any, depth: int) -> Iterator[tuple[Any, int]]:  # noqa: ANN401
    waiting = [(tree, depth)]
    while waiting:
        value, depth = waiting.pop()
        yield value, depth
        if isinstance(value, dict):
            waiting += [(one, depth + 1) for pair in value.items() for one in pair]
        elif isinstance(value, list | tuple | set):
            waiting += [(one, depth + 1) for one in value]
