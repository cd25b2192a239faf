"""Words about media that cannot be had."""

import pytest

from orchestrator.data.places.wording import shown, without_secrets


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://user:pw@host/a/b.jpg", "https://…@host/a/b.jpg"),
        ("https://host:8080/a.jpg?sv=1&sig=SECRET", "https://host:8080/a.jpg?…"),
        ("s3://bucket/a@b/c.jpg", "s3://bucket/a@b/c.jpg"),
        ("s3://bucket/what?.jpg", "s3://bucket/what?.jpg"),
        ("a?b@c.jpg", "a?b@c.jpg"),
        ("/folder/what?.jpg", "/folder/what?.jpg"),
    ],
)
def test_a_url_is_said_without_what_opens_doors(url: str, said: str) -> None:
    assert without_secrets(url) == said
    assert shown("image", url) == f"image {said!r}"
