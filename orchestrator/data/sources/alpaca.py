"""Rows of instruction, input, output and history."""

from collections.abc import Iterator
from typing import Any

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.media_refs import show
from orchestrator.data.sources.columns import ALPACA, MEDIA, USUAL, Row


def from_alpaca(value: Row) -> Row:
    """Write a row as turns: earlier rounds, what is asked, the answer.

    Raises:
        BadSampleError: A cell is no text, or two mean the same.
    """
    asked = [_text(value, name) for name in ("prompt", "query")]
    answer = _text(value, "response")
    ask = "\n".join(part for part in asked if part)
    turns = [*_history(value.get("history"))]
    has_media = any(value.get(name) for names in MEDIA.values() for name in names)
    # Pictures alone are a question.
    is_bare = has_media and not ask.strip()
    turns.append(
        {"role": "user", "content": [{"type": "text", "text": ""}] if is_bare else ask}
    )
    if answer is not None:
        turns.append({"role": "assistant", "content": answer})
    dropped = {name for ours in (*ALPACA, "messages") for name in USUAL[ours]}
    row = {name: cell for name, cell in value.items() if name not in dropped}
    return {**row, "conversations": turns}


def _text(value: Row, ours: str) -> str | None:
    given = [(name, value[name]) for name in USUAL[ours] if value.get(name) is not None]
    if len(given) > 1:
        names = " and ".join(repr(name) for name, _ in given)
        raise BadSampleError(f"both {names} are given", "Keep one of them")
    if not given:
        return None
    name, cell = given[0]
    if not isinstance(cell, str):
        raise BadSampleError(f"{name!r} is {show(cell)}", "Write it as text")
    return cell


def _history(given: object) -> list[Row]:
    turns = []
    for question, answer in _pairs(given):
        turns.append({"role": "user", "content": question})
        turns.append({"role": "assistant", "content": answer})
    return turns


def _pairs(given: object) -> Iterator[tuple[str, str]]:
    if given is None or given == "":
        return
    pairs: list[Any] = given if isinstance(given, list) else [given]
    for pair in pairs:
        is_pair = isinstance(pair, list | tuple) and len(pair) == 2
        if not is_pair or not all(isinstance(text, str) for text in pair):
            raise BadSampleError(
                f"'history' holds {show(pair)}", "Write a list of pairs: question and answer"
            )
        yield pair[0], pair[1]
