"""What a person reads of a medium that cannot be had."""

from orchestrator.data.bad_sample import BadSampleError, MissingMediumError

_LETTERS = 200


def shown(kind: str, name: str) -> str:
    """A medium as messages call it: ``image 'a.jpg'``, short enough for a line."""
    return f"{kind} {brief(without_secrets(name))}"


def without_secrets(name: str) -> str:
    """A URL without what may open a door: a user's password, a signature in the query."""
    scheme, separator, rest = name.partition("://")
    if not separator:
        return name
    # In the name of a store's object, a question mark is a letter.
    is_web = scheme.lower() in {"http", "https"}
    place, question, _ = rest.partition("?") if is_web else (rest, "", "")
    host, slash, path = place.partition("/")
    _, user, host = host.rpartition("@")
    hidden = "…@" if user else ""
    return f"{scheme}://{hidden}{host}{slash}{path}{'?…' if question else ''}"


def brief(text: str) -> str:
    """Text from outside, quoted, and cut where it is long."""
    return repr(text) if len(text) <= _LETTERS else repr(f"{text[: _LETTERS - 3]}...")


def missing(what: str, why: str = "not found") -> MissingMediumError:
    """It is not there, and asking again would not help."""
    return MissingMediumError(f"{what} {why}", "Put the file there, or correct the path")


def no_path(what: str) -> BadSampleError:
    """Nothing could ever be there."""
    return BadSampleError(f"{what} is no path", "Correct the path")


def empty(what: str) -> BadSampleError:
    """Something is there, of no bytes."""
    return BadSampleError(f"{what} is empty (0 bytes)", "Write the file again")


def too_short(what: str, end: int, num_bytes: int) -> BadSampleError:
    """A range lies beyond the end of what it is a range of."""
    return BadSampleError(
        f"{what} ends at byte {end} of a file of {num_bytes}", "Write the file again"
    )
