"""What a URL means, told without asking anybody. What could be read in two ways is refused."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

WEB = re.compile("https?://", re.IGNORECASE)

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_ODD = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
# Neither "user@" nor a backslash nor an odd letter: libraries disagree about where such a host
# ends, and the one that is checked has to be the one that is asked.
_ADDRESS = re.compile(
    r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?((?:[/?][^\\#]*)?)(?:#.*)?",
    re.IGNORECASE,
)
_NO_STORE = {"file", "local", "http", "https"}
_SAME = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}
_PORTS = {"http": 80, "https": 443}

_LAST_PORT = 65_535
_MOST_LETTERS = 2048


@dataclass(frozen=True, slots=True)
class Address:
    """An http or https URL, taken apart."""

    scheme: str
    host: str
    port: int
    rest: str
    """Path and query."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.place}{self.rest}"

    @property
    def place(self) -> str:
        """Host, and port where it is not the usual one."""
        is_usual = self.port == _PORTS[self.scheme]
        return self.host if is_usual else f"{self.host}:{self.port}"

    def is_of(self, listed: str) -> bool:
        """Whether a ``host`` or ``host:port`` that the job lists means this address."""
        return listed.lower() in (self.place, f"{self.host}:{self.port}")

    def may_redirect_to(self, other: Self) -> bool:
        """Whether the same host answers there: only https may take the place of http."""
        is_upgrade = (self.scheme, self.port) == ("http", 80) and (
            (other.scheme, other.port) == ("https", 443)
        )
        same_door = (self.scheme, self.port) == (other.scheme, other.port)
        return self.host == other.host and (same_door or is_upgrade)


def is_url(text: str) -> bool:
    """Whether it begins with a scheme and ``://``."""
    return "://" in text and _URL.match(text) is not None


def is_odd(url: str) -> bool:
    """Whether it is longer than any name, or holds a letter that no name has."""
    return len(url) > _MOST_LETTERS or _ODD.search(url) is not None


def climbs(path: str) -> bool:
    """Whether a store could take a part of it for "up"."""
    return any(unquote(name) in ("..", ".") for name in path.split("/"))


def web_address(url: str) -> Address | None:
    """Take an http or https URL apart; None if it can be misread."""
    found = None if is_odd(url) else _ADDRESS.fullmatch(url)
    if found is None:
        return None
    scheme, host = found[1].lower(), found[2].lower()
    port = int(found[3] or _PORTS[scheme])
    return Address(scheme, host, port, found[4]) if port <= _LAST_PORT else None


def joined(place: str, path: str) -> str:
    """The URL of a relative path that starts at another URL."""
    # On the web, what is behind "#" is not part of the name.
    path = path.replace("#", "%23") if WEB.match(place) else path
    return f"{place.rstrip('/')}/{path}"


def inside(url: str, place: str) -> str | None:
    """The URL in plain form, if it names something below ``place``, compared name by name.

    Of stores alone: what is allowed on the web is a host, and on a disk a real path.
    """
    found, root = _URL.match(url), _URL.match(place)
    if found is None or root is None or is_odd(url) or climbs(found[2]):
        return None
    scheme, root_scheme = _scheme(found), _scheme(root)
    names, root_names = found[2].split("/"), root[2].rstrip("/").split("/")
    depth = len(root_names)
    is_below = names[:depth] == root_names and any(names[depth:])
    if scheme != root_scheme or scheme in _NO_STORE or not is_below:
        return None
    return f"{scheme}://{found[2]}"


def authority(url: str) -> str:
    """The URL up to the end of its bucket or host."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _scheme(url: re.Match[str]) -> str:
    scheme = url[1].lower()
    return _SAME.get(scheme, scheme)
