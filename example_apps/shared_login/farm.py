"""All members, each with its own `DataProtection` on the same folder, and a reverse proxy that gives them one host."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

from dpmiddleware import DataProtection
from dpmiddleware.clock import Clock
from example_apps.demo.loopback_only import guarded_asgi, guarded_wsgi
from example_apps.plants.serving import serve_asgi, serve_wsgi
from example_apps.shared_login import APPLICATION, flask_app, starlette_app
from example_apps.shared_login.aspnet import serve_aspnet
from example_apps.slot_swap.front import passing_on
from example_apps.slot_swap.loopback import LoopbackServer

__all__ = ["open_farm"]


@contextlib.contextmanager
def open_farm(keys: Path, *, aspnet: str | None = None, clock: Clock | None = None, port: int = 0) -> Generator[str]:
    """Run all members while the context is open. The value of the context is the address of the reverse proxy.

    keys: the folder of the keys, created if it does not exist.
    aspnet: the program with ASP.NET Core, if any.
    clock: the clock for the tickets of the members in Python.
    port: the port of the reverse proxy (0: any free port).
    """
    first, second = (DataProtection(APPLICATION, repository=keys, key_wrapper="plain:") for _ in range(2))
    first.current()  # creates the first key: .NET members that start at the same time would create one each
    with contextlib.ExitStack() as stack:
        flask = serve_wsgi(guarded_wsgi(flask_app.make_app(first, aspnet=aspnet is not None, clock=clock)))
        starlette = serve_asgi(guarded_asgi(starlette_app.make_app(second, aspnet=aspnet is not None, clock=clock)))
        ports = {
            "/flask/": urlsplit(stack.enter_context(flask)).port or 0,
            "/starlette/": urlsplit(stack.enter_context(starlette)).port or 0,
        }
        others = ports["/flask/"] if aspnet is None else stack.enter_context(serve_aspnet(aspnet, keys))

        def port_for(path: str) -> int:
            return ports["/flask/"] if path == "/" else next((ports[at] for at in ports if path.startswith(at)), others)

        yield stack.enter_context(LoopbackServer(passing_on(port_for), port)).url
