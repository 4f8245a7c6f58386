"""Serves a WSGI or ASGI application on a local port, in a thread of this process."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Certificate", "serve_asgi", "serve_wsgi"]

_START_WITHIN = 30.0


class Certificate(NamedTuple):
    """The PEM files of a certificate chain and its key; with them, the application is served over https."""

    chain: str
    key: str


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are not logged."""


@contextlib.contextmanager
def serve_wsgi(app: WSGIApplication, port: int = 0, certificate: Certificate | None = None) -> Generator[str]:
    """Serve on ``port`` (0: any free port) while the context is open. The value of the context is the address."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Quiet, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def serve_asgi(app: Any, port: int = 0, certificate: Certificate | None = None) -> Generator[str]:
    """Serve an ASGI application with uvicorn, otherwise as `serve_wsgi`."""
    import uvicorn

    tls = {} if certificate is None else {"ssl_certfile": certificate.chain, "ssl_keyfile": certificate.key}
    config = uvicorn.Config(app, log_level="warning", log_config=None, timeout_graceful_shutdown=1, **tls)  # type: ignore[arg-type]  # all of them are paths
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            _wait_for(server, thread)
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


def _wait_for(server: Any, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _START_WITHIN
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("uvicorn did not start")
        time.sleep(0.01)
