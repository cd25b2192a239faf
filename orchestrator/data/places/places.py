"""Which files and URLs a data set may lead to: the only judge of paths that come from rows."""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from orchestrator.data.bad_sample import BadSampleError
from orchestrator.data.conversation import MediaRef
from orchestrator.data.places.disk import disk_faults, real_path
from orchestrator.data.places.location import Location
from orchestrator.data.places.urls import (
    WEB,
    climbs,
    inside,
    is_odd,
    is_url,
    joined,
    web_address,
)
from orchestrator.data.places.wording import no_path, shown

_LOCAL = re.compile("^file://(localhost)?(?=/)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Places:
    """What media references may lead to. Small, and travels between processes.

    It guards against what rows say, not against people who may write to ``media_dir``: a link
    that is put there between two looks of one process at its folder goes unnoticed.
    """

    media_dir: str
    """Absolute folder or URL: where relative paths start."""

    roots: tuple[str, ...] = ()
    """Absolute folders and URLs that paths may lead into as well."""

    hosts: tuple[str, ...] = ()
    """Hosts that media may be fetched from by https and http, on their usual ports;
    ``host:port`` names another one."""

    def locate(self, ref: MediaRef) -> Location:
        """Find what a row names, if it may be used; nothing of its content is read.

        * A path starts at ``media_dir``. Where it really ends, all links followed, has to be
          inside ``media_dir`` or a root.
        * The URL of a store has to be inside ``media_dir`` or a root, name by name.
        * An http or https URL has to be of a listed host.
        * What a reader made itself (a member of the data file's own tar, content spooled from
          a row) is used as it is: ``is_own`` cannot be said by a row.

        A range (``offset``, ``length``) is kept.

        Raises:
            BadSampleError: It leads to somewhere else, or is no path.
            StorageError: A disk did not answer.
        """
        url = ref.uri if ref.is_own else self._allowed(ref)
        return Location(url, ref.offset, ref.length)

    def _allowed(self, ref: MediaRef) -> str:
        uri = ref.uri
        if _is_path(uri):
            if uri.startswith("/"):
                return self._on_disk(uri, ref)
            start = _folder(self.media_dir)
            if not is_url(start):
                return self._on_disk(f"{start}/{uri}", ref)
            url = joined(start, uri)
            if climbs(uri):
                raise self._outside(ref, url)
            return self._elsewhere(url, ref)
        if local := _LOCAL.match(uri):
            return self._on_disk(_decoded(uri[local.end() :]), ref)
        return self._elsewhere(uri, ref)

    def _on_disk(self, path: str, ref: MediaRef) -> str:
        with disk_faults(path, shown(ref.kind, ref.uri)):
            real, is_inside = real_path(path, _folders(self))
        if not is_inside:
            raise self._outside(ref, real)
        return real

    def _elsewhere(self, url: str, ref: MediaRef) -> str:
        if is_odd(url):
            raise no_path(shown(ref.kind, ref.uri))
        return self._on_web(url, ref) if WEB.match(url) else self._in_store(url, ref)

    def _in_store(self, url: str, ref: MediaRef) -> str:
        for place in (self.media_dir, *self.roots):
            if found := inside(url, place):
                return found
        raise self._outside(ref, url)

    def _on_web(self, url: str, ref: MediaRef) -> str:
        address = web_address(url)
        if address is None:
            raise no_path(shown(ref.kind, ref.uri))
        if not any(address.is_of(host) for host in self.hosts):
            raise BadSampleError(
                f"{shown(ref.kind, ref.uri)} is on a host that is not listed, {address.place}",
                f"Fetch it into media_dir, or list {address.place} under data.hosts",
            )
        return str(address)

    def _outside(self, ref: MediaRef, where: str) -> BadSampleError:
        return BadSampleError(
            f"{shown(ref.kind, ref.uri)} leads out of media_dir to {where[:200]}",
            f"Move it into {self.media_dir}, or name its folder under data.roots",
        )


def _is_path(uri: str) -> bool:
    """Whether it is a path. "data:" has no slashes and is no path all the same."""
    return not is_url(uri) and not uri.startswith("data:")


@lru_cache
def _folders(places: Places) -> tuple[str, ...]:
    """Of all places, those on disks."""
    return tuple(
        _folder(place)
        for place in (places.media_dir, *places.roots)
        if not is_url(place) or _LOCAL.match(place)
    )


def _folder(place: str) -> str:
    return _LOCAL.sub("", place) if ":" in place else place


def _decoded(path: str) -> str:
    """The path of a file URL: some write it as it is, some with ``%20`` for a space."""
    if "%" in path and not os.path.lexists(path):
        return unquote(path)
    return path
