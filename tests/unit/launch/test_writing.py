"""YAML for people reads back as what it was made of."""

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.launch.writing import write_yaml

# Without control characters and the line ends that only YAML 1.1 knows.
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co", "Zl", "Zp")))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
DOCUMENT = st.dictionaries(TEXT, PLAIN, min_size=1)


@settings(max_examples=50, deadline=None)
@given(st.lists(DOCUMENT, min_size=1, max_size=3))
def test_whatever_is_written_reads_back(documents: list[dict[str, Any]]) -> None:
    text = write_yaml(documents, {"*": "For a reason.", "*/*": "Another one."}, "A heading")
    assert list(yaml.safe_load_all(text)) == documents


def test_a_reason_is_said_once_above_the_first_place() -> None:
    kinds = {name: {"size": 1, "what": "text " * 15 + "end"} for name in ("one", "two")}
    text = write_yaml([{"kinds": kinds}], {"kinds/*/size": "It fits."}, "")
    lines = text.splitlines()
    assert lines[1:5] == ["kinds:", "  one:", "    # It fits.", "    size: 1"]
    assert text.count("# It fits.") == 1


def test_long_commands_are_folded_and_short_lists_stay_on_a_line() -> None:
    text = write_yaml([{"run": ["word " * 40 + "end"], "few": [1, 2]}], {}, "")
    assert max(map(len, text.splitlines())) < 96
    assert "few: [1, 2]" in text
