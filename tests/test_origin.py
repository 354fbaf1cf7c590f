"""Who may connect to the viewer."""

from __future__ import annotations

import pytest

from learnable_smplify.view.origin import is_own


@pytest.mark.parametrize(
    ("host", "origin", "own"),
    [
        ("127.0.0.1:8080", None, True),
        ("127.0.0.1:8080", "http://127.0.0.1:8080", True),
        ("localhost:8080", "http://localhost:8080", True),
        ("[::1]:8080", "http://[::1]:8080", True),
        ("192.168.1.7:8080", "http://192.168.1.7:8080", True),
        ("127.0.0.1:8080", "http://evil.example", False),
        ("127.0.0.1:8080", "http://127.0.0.1:9090", False),
        ("127.0.0.1:8080", "null", False),
        ("evil.example:8080", "http://evil.example:8080", False),
        ("evil.example:8080", None, False),
        (None, None, False),
        ("", None, False),
    ],
)
def test_only_the_viewers_own_page_and_programs_of_this_machine_may_connect(
    host: str | None, origin: str | None, own: bool
) -> None:
    assert is_own(host, origin, "127.0.0.1") is own


def test_the_server_itself_refuses_a_strange_page() -> None:
    viser = pytest.importorskip("viser")
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    from learnable_smplify.view.origin import only_own_page

    with only_own_page("127.0.0.1"):
        server = viser.ViserServer("127.0.0.1", 0, verbose=False)
    try:
        address = f"ws://127.0.0.1:{server.get_port()}"
        with pytest.raises(InvalidStatus, match="403"), connect(address, origin="http://evil.example"):
            pass
        own = f"http://127.0.0.1:{server.get_port()}"
        with connect(address, origin=own, subprotocols=[f"viser-v{viser.__version__}"]):
            pass
    finally:
        server.stop()
