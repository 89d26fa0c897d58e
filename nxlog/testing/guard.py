"""No network: sockets that would reach another host fail the test, and names are not looked up.

What opens sockets without Python's ``socket`` (uvloop, gRPC) is not seen.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from nxlog.testing.match import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_INTERNET = (socket.AF_INET, socket.AF_INET6)
_METHODS = ("connect", "connect_ex", "sendto")
_LOOKUPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr")


@contextlib.contextmanager
def no_network(fail: Callable[[str], NoReturn], *, loopback: bool) -> Generator[None]:
    """While it lasts, sockets go nowhere, or with ``loopback`` no farther than this machine.

    Args:
        fail: is told what was tried, and raises.
        loopback: allow connections to this machine.
    """
    guard = _Guard(fail, loopback=loopback)
    places: list[tuple[Any, str, Any]] = [(socket, "socketpair", guard.pair(socket.socketpair))]
    places += [(socket.socket, name, guard.method(getattr(socket.socket, name))) for name in _METHODS]
    places += [(socket, name, guard.lookup(getattr(socket, name))) for name in _LOOKUPS]
    with contextlib.ExitStack() as stack:
        for owner, name, guarded in places:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, guarded)
        yield


class _Guard:
    def __init__(self, fail: Callable[[str], NoReturn], *, loopback: bool) -> None:
        self._fail = fail
        self._loopback = loopback
        self._pairing = threading.local()

    def _check(self, host: object, what: str) -> None:
        if getattr(self._pairing, "active", False) or (self._loopback and is_loopback(host)):
            return
        name = host.decode("latin-1") if isinstance(host, bytes) else host
        self._fail(f"the test touched the network: {what} {name}; it is to be answered from its cassette alone")

    def method(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """A method of sockets whose last argument is an address."""

        def guarded(sock: socket.socket, *args: Any) -> Any:
            if sock.family in _INTERNET and args:
                self._check(args[-1][0], "connection to")
            return real(sock, *args)

        return guarded

    def lookup(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """A function that looks a host up. Those of this machine need no server for that."""

        def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
            if not is_loopback(host):
                self._check(host, "look-up of")
            return real(host, *args, **kwargs)

        return guarded

    def pair(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """Pairs for event loops: where the system has none, Python connects two sockets of this machine."""

        def guarded(*args: Any, **kwargs: Any) -> Any:
            self._pairing.active = True
            try:
                return real(*args, **kwargs)
            finally:
                self._pairing.active = False

        return guarded
