"""Stores that fsspec opens, or cannot."""

from typing import Any

import pytest

from orchestrator.data.places.answers import GoneError, NoAnswerError
from orchestrator.data.places.buckets import _code, _verdict
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.errors import StorageError
from tests.unit.data.places.conftest import HASTY


class ClientError(Exception):
    """As S3's client raises it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


def caused(error: Exception, code: str) -> Exception:
    error.__cause__ = ClientError(code)
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError("none"), GoneError),
        (IsADirectoryError("folder"), GoneError),
        (OSError(36, "name too long"), GoneError),
        (PermissionError("denied"), GoneError),
        (caused(PermissionError("denied"), "AccessDenied"), GoneError),
        (caused(PermissionError("who?"), "InvalidAccessKeyId"), NoAnswerError),
        (caused(PermissionError("who?"), "ExpiredToken"), NoAnswerError),
        (caused(OSError(22, "bad"), "400"), NoAnswerError),
        (OSError(5, "busy"), NoAnswerError),
        (TimeoutError(), NoAnswerError),
        (RuntimeError("some client's own"), NoAnswerError),
    ],
)
def test_what_a_store_says_of_an_object_is_told_from_what_it_says_of_itself(
    error: Exception, kind: type[Any]
) -> None:
    assert isinstance(_verdict(error), kind)


def test_the_stores_own_word_is_found_wherever_its_client_puts_it() -> None:
    assert _code(ClientError("416")) == "416"
    assert _code(caused(OSError(), "InvalidRange")) == "InvalidRange"
    assert _code(OSError()) == ""


def test_a_url_that_no_library_answers_for_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match="nosuch"):
        Content("a", Location("nosuch://bucket/a.jpg"), patience=HASTY).read()
