"""Who may connect to the viewer: its own page, under an address or a name of this machine.

A page of any site in the user's browser can open a WebSocket to 127.0.0.1, and its name can be made to mean 127.0.0.1.
Browsers say truly where a page is from (Origin) and what name it used (Host).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit


def is_own(host: str | None, origin: str | None, served_as: str) -> bool:
    """Whether a request comes from the viewer's own page, or from no page at all.

    Args:
        host: the request's Host.
        origin: its Origin; None where no page asks.
        served_as: the name or address that the viewer was told to listen on.
    """
    if host is None or not _is_here(urlsplit(f"//{host}").hostname, served_as):
        return False
    return origin is None or urlsplit(origin).netloc.lower() == host.lower()


@contextmanager
def only_own_page(served_as: str) -> Iterator[None]:
    """While a `viser.ViserServer` is made: let it refuse what is not `is_own`.

    viser hands no such check on to the server below it, so the server is given it here, as it starts.
    """
    from websockets.asyncio import server

    start = server.serve

    def serve(*arguments: Any, process_request: Callable[..., Any] | None = None, **options: Any) -> Any:
        def checked(connection: Any, request: Any) -> Any:
            if not is_own(request.headers.get("Host"), request.headers.get("Origin"), served_as):
                return connection.respond(HTTPStatus.FORBIDDEN, "Open the address that lsmplify view printed.\n")
            return None if process_request is None else process_request(connection, request)

        return start(*arguments, process_request=checked, **options)

    server.serve = serve  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        server.serve = start  # type: ignore[misc]


def _is_here(name: str | None, served_as: str) -> bool:
    if not name:
        return False
    if name in ("localhost", served_as.lower(), socket.gethostname().lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False  # a name that a stranger may have pointed here
    return True
