"""What columns are usually called."""

from typing import Any

Row = dict[str, Any]

TURNS = ("conversations", "messages")

USUAL: dict[str, tuple[str, ...]] = {
    "messages": TURNS,
    "prompt": ("instruction", "prompt"),
    "query": ("input", "query"),
    "response": ("output", "response"),
    "history": ("history",),
    "system": ("system",),
    "images": ("images", "image"),
    "videos": ("videos", "video"),
}
"""By LLaMA-Factory's name; the first is the one form's."""

ALPACA = ("prompt", "query", "response", "history")

NEEDED = ("messages", "prompt", "response")
"""Without these no row can be used; others may be missing from some rows of a JSON file."""

LISTS = (*TURNS, "history", "images", "image", "videos", "video")
"""Cells that are lists, and come as text where a table has no lists."""

MEDIA = {"image": USUAL["images"], "video": USUAL["videos"]}
"""By kind of medium."""
