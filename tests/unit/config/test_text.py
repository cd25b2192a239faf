"""YAML by the rules of version 1.2."""

import pytest

from orchestrator.config.text import YamlError, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("2.0e-3", 2e-3),
        ("1_003_520", 1003520),
        ("-3", -3),
        (".5", 0.5),
        ("true", True),
        ("no", "no"),
        ("on", "on"),
        ("012", 12),
        ("12:30", "12:30"),
        ("2026-01-02", "2026-01-02"),
        ("", None),
        ("~", None),
        ("'8'", "8"),
        ("描述", "描述"),
        ("{<<: {a: 1}, b: 2}", {"<<": {"a": 1}, "b": 2}),
        ("[&a {x: 1}, *a]", [{"x": 1}, {"x": 1}]),
    ],
)
def test_a_value_means_what_yaml_1_2_says(text: str, value: object) -> None:
    parsed = parse_yaml(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_an_error_carries_its_line() -> None:
    with pytest.raises(YamlError) as caught:
        parse_yaml("a: 1\nb: {c: 1,\n    c: 2}\n")
    assert caught.value.line == 3
    assert caught.value.problem == "key 'c' is written twice, first in line 2"
