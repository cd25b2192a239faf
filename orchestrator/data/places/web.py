"""Media behind http and https. A redirect leads nowhere but to the host that was asked.

By urllib3 and not by fsspec, which follows any redirect.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urljoin
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError

from orchestrator.data.places.answers import GoneError, NoAnswerError
from orchestrator.data.places.urls import Address, web_address

_MOST_REDIRECTS = 5
_MOST_BYTES = 4 << 30
_PIECE_BYTES = 1 << 20
_LITTLE_BYTES = 16 << 10
_CONNECTIONS = 32

_REDIRECTS = {301, 302, 303, 307, 308}
_PAST_THE_END = 416
# The only refusals that another try may overcome.
_LATER = {408, 425, 429}
_WHY = {401: "may not be read", 403: "may not be read", 404: "not found", 410: "is gone"}


@dataclass(frozen=True, slots=True)
class Web:
    """Servers that speak http."""

    timeout_s: float

    def look(self, url: str, /) -> tuple[int, str]:
        # The first byte, and not HEAD: signed URLs are often good for GET alone.
        with self._asked(url, 0, 1) as answer:
            num_bytes = _num_bytes(answer)
            state = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
            return num_bytes, f"{num_bytes}:{state}"

    def fetch(self, url: str, start: int, stop: int | None, /) -> bytes:
        with self._asked(url, start, stop) as answer:
            if answer.status == _PAST_THE_END:
                return b""
            # Without regard for a range, the whole is sent: what comes before is thrown away.
            skipped = start if answer.status == 200 else 0
            wanted = None if stop is None else skipped + stop - start
            return _body(answer, wanted)[skipped:]

    @contextmanager
    def _asked(
        self, url: str, start: int, stop: int | None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        headers = {"Accept-Encoding": "identity"}
        if start or stop is not None:
            headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        try:
            answer = _followed(url, headers, self.timeout_s)
            try:
                _judge(answer, start)
                yield answer
            finally:
                _leave(answer)
        except HTTPError as error:
            raise NoAnswerError(str(error)) from error


def _followed(url: str, headers: dict[str, str], timeout_s: float) -> urllib3.BaseHTTPResponse:
    address = _address(url)
    for _ in range(1 + _MOST_REDIRECTS):
        answer = _pool(_proxy(address)).request(
            "GET",
            str(address),
            headers=headers,
            redirect=False,
            retries=False,
            timeout=timeout_s,
            preload_content=False,
        )
        if answer.status not in _REDIRECTS:
            return answer
        _leave(answer)
        target = _address(urljoin(str(address), answer.headers.get("Location", "")))
        if not address.may_redirect_to(target):
            raise GoneError(f"is redirected to another host, {target.place}")
        address = target
    raise GoneError("is redirected without end")


def _leave(answer: urllib3.BaseHTTPResponse) -> None:
    """Keep the connection where little is left to read on it, and drop it otherwise."""
    left = answer.length_remaining
    if left is not None and left <= _LITTLE_BYTES:
        answer.drain_conn()
    else:
        answer.close()


def _judge(answer: urllib3.BaseHTTPResponse, start: int) -> None:
    status = answer.status
    if status in (200, _PAST_THE_END):
        return
    if status == 206:
        if not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise NoAnswerError("it sends another range than it was asked for")
    elif 400 <= status < 500 and status not in _LATER:
        raise GoneError(f"{_WHY.get(status, 'is refused')} ({status})")
    else:
        raise NoAnswerError(f"status {status}")


def _num_bytes(answer: urllib3.BaseHTTPResponse) -> int:
    """Of the whole object, whatever part of it was asked for."""
    if answer.status == 200:
        said = answer.headers.get("Content-Length", "")
        return int(said) if said.isdigit() else len(_body(answer, None))
    total = answer.headers.get("Content-Range", "").rpartition("/")[2]
    if not total.isdigit():
        raise GoneError("is of a size that its server does not tell")
    return int(total)


def _body(answer: urllib3.BaseHTTPResponse, wanted: int | None) -> bytes:
    most = _MOST_BYTES if wanted is None else wanted
    body = bytearray()
    while len(body) < most:
        piece = answer.read(min(_PIECE_BYTES, most - len(body)))
        if not piece:
            break
        body += piece
    if wanted is None and len(body) == most:
        raise GoneError(f"is larger than {most} bytes")
    return bytes(body)


def _address(url: str) -> Address:
    address = web_address(url)
    if address is None:
        raise GoneError(f"is redirected to {url[:200]!r}")
    return address


def _proxy(address: Address) -> str | None:
    proxy = getproxies().get(address.scheme)
    return None if proxy is None or proxy_bypass(address.host) else proxy


@lru_cache
def _pool(proxy: str | None) -> urllib3.PoolManager:
    if proxy is None:
        return urllib3.PoolManager(maxsize=_CONNECTIONS)
    return urllib3.ProxyManager(proxy, maxsize=_CONNECTIONS)
