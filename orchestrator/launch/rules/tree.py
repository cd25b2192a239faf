"""Careful steps into values of which nothing is known."""

from collections.abc import Iterator
from typing import Any

Tree = Any
"""What YAML may hold: mappings, lists and plain values, any of them anywhere."""


def at(tree: Tree, *path: str | int) -> Tree:
    """What is at a path; None where it leads nowhere."""
    for step in path:
        if isinstance(tree, dict):
            tree = tree.get(step)
        elif isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            tree = tree[step]
        else:
            return None
    return tree


def entries(tree: Tree, *path: str | int) -> Iterator[tuple[str, Tree]]:
    """Names and values of the mapping at a path; nothing where there is none."""
    found = at(tree, *path)
    if isinstance(found, dict):
        yield from ((str(name), value) for name, value in found.items())


def items(tree: Tree, *path: str | int) -> list[Tree]:
    """The list at a path; empty where there is none."""
    found = at(tree, *path)
    return found if isinstance(found, list) else []


def text(tree: Tree, *path: str | int) -> str:
    """The text at a path; "" where there is none."""
    found = at(tree, *path)
    return found if isinstance(found, str) else ""


def number(tree: Tree, *path: str | int) -> float | None:
    """The number at a path, also written as text; None where there is none."""
    found = at(tree, *path)
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        return float(found)
    except (ValueError, OverflowError):
        return None
