"""YAML text to plain values, by the rules of YAML 1.2.

PyYAML follows YAML 1.1, where ``1e-4`` is a string, ``no`` is false, ``012`` is ten and
``12:30`` is 750; and of two equal keys the second wins in silence.
"""

import re
from typing import Any

import yaml

Plain = dict[str, Any] | list[Any] | str | int | float | bool | None

_RULES = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+(_[0-9]+)*", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN", "-+."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
)


ODD_TAGS = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What PyYAML raises where a tag promises what the text does not hold: ``!!bool maybe``."""


class YamlError(Exception):
    """Text that is not the YAML we read."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem, line)
        self.problem = problem
        self.line = line


class _Loader(yaml.SafeLoader):
    """Reads plain values only, and refuses a key that is written twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own attribute

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                first = f"key {key.value!r} is written twice, first in line {seen[key.value]}"
                raise yaml.constructor.ConstructorError(None, None, first, key.start_mark)
            if isinstance(key.value, str):
                seen[key.value] = line
        return super().construct_mapping(node, deep=deep)


def _decimal(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


for _tag, _pattern, _first in _RULES:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _decimal)


def parse_yaml(text: str) -> Plain:
    """Plain values out of YAML text.

    Raises:
        YamlError: The text is not YAML, has a key twice, or holds what is no plain value.
    """
    try:
        value: Plain = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise YamlError(error.problem or "not YAML", mark.line + 1 if mark else 1) from error
    except (yaml.YAMLError, *ODD_TAGS) as error:
        said = str(error) or "is nested too deeply"
        raise YamlError(said.splitlines()[0], 1) from error
    return value
