"""For the tests of applications: a ring in memory, a clock that a test moves, and users who are signed in.

    RingInMemory, StoppedClock   a ring and a clock; the fixtures of pytest: ``ring_in_memory`` and ``stopped_clock``
    sign_in(client, principal)   sign a user in, as the application would do it in a request
    principal_of(client)         the user whom the application sees in the next request of this client
    session_of(client)           the session that it sees
    set_session(client, values)  give it this session

The client is the test client of Flask, Django, Starlette, FastAPI, Werkzeug, or an ``AsyncClient`` of httpx. For the
tests of adapters: `dpmiddleware.testing.contracts`. docs/testing.md explains all of it.

Importing this package imports no framework; what it needs is imported at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dpmiddleware.testing.clients import principal_of, session_of, set_session, sign_in
from dpmiddleware.testing.clock import StoppedClock

if TYPE_CHECKING:
    from dpmiddleware.ring_in_memory import RingInMemory

__all__ = ["RingInMemory", "StoppedClock", "principal_of", "session_of", "set_session", "sign_in"]


def __getattr__(name: str) -> Any:
    if name == "RingInMemory":
        from dpmiddleware.ring_in_memory import RingInMemory

        return RingInMemory
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
