"""Plain values as YAML for people: short lists on one line, and a reason above each choice."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from textwrap import wrap
from typing import Any

import yaml

WIDTH = 80
_SHORT = 64
"""The longest text, list or mapping that is written on one line, in characters."""

Path = tuple[str, ...]


class _Dumper(yaml.SafeDumper):
    """Writes in the order given, without anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002 - PyYAML's signature
        return super().increase_indent(flow, False)  # noqa: FBT003

    def represent_sequence(
        self,
        tag: str,
        sequence: Any,  # noqa: ANN401 - PyYAML's signature
        flow_style: bool | None = None,  # noqa: FBT001
    ) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, sequence, flow_style)
        node.flow_style = _fits(node.value)
        return node

    def represent_mapping(
        self,
        tag: str,
        mapping: Any,  # noqa: ANN401 - PyYAML's signature
        flow_style: bool | None = None,  # noqa: FBT001
    ) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style)
        node.flow_style = _fits([part for pair in node.value for part in pair])
        return node


def _fits(parts: Sequence[yaml.Node]) -> bool:
    plain = all(isinstance(part, yaml.ScalarNode) for part in parts)
    return plain and sum(len(part.value) + 3 for part in parts) <= _SHORT


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = ">" if len(text) > _SHORT and " " in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def write_yaml(
    documents: Sequence[Mapping[str, Any]], reasons: Mapping[str, str], heading: str
) -> str:
    """Documents as YAML text that reads back as the same values.

    Args:
        documents: Plain values.
        reasons: Why, by path: ``provider/region``, with ``*`` for any name. A reason is written
            above the first place that it fits; of several that fit a place, the first counts.
        heading: Lines of comment at the top, without the mark.
    """
    unsaid = dict(reasons)
    texts = ["\n".join(_explained(document, reasons, unsaid)) for document in documents]
    head = "".join(f"# {line}".rstrip() + "\n" for line in heading.splitlines())
    return f"{head}\n" + "\n---\n".join(texts) + "\n"


def _explained(
    document: Mapping[str, Any], reasons: Mapping[str, str], unsaid: dict[str, str]
) -> Iterator[str]:
    """The lines of one document; reasons that are said are taken out of ``unsaid``."""
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True)
    # Other line ends may stand within a text.
    lines = text.removesuffix("\n").split("\n")
    comments: dict[int, list[str]] = {}
    for path, line, indent in _keys(yaml.compose(text, Loader=yaml.SafeLoader), ()):
        pattern = _pattern(path, reasons)
        if pattern in unsaid and lines[line].lstrip("- ").startswith(path[-1]):
            comments[line] = _comment(unsaid.pop(pattern), indent)
    for number, written in enumerate(lines):
        yield from (*comments.get(number, ()), written)


def _pattern(path: Path, reasons: Mapping[str, str]) -> str:
    """The first pattern that a path fits; "" if there is none."""
    name = "/".join(path)
    depth = len(path)
    fitting = (
        pattern
        for pattern in reasons
        if pattern.count("/") == depth - 1 and fnmatchcase(name, pattern)
    )
    return next(fitting, "")


def _keys(node: yaml.Node | None, path: Path) -> Iterator[tuple[Path, int, int]]:
    """Every key with its path, line and column; a list's entries share its path."""
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            yield from _keys(entry, path)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            mark = key.start_mark
            here = (*path, str(key.value))
            yield here, mark.line, mark.column
            yield from _keys(value, here)


def _comment(reason: str, indent: int) -> list[str]:
    margin = " " * indent + "# "
    return [margin + line for line in wrap(reason, WIDTH - len(margin))]
