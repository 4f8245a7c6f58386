"""The command line of the three shops."""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from dpmiddleware import DataProtection, RotationPolicy

__all__ = ["run"]


def run(
    framework: str,
    make_app: Callable[[DataProtection], Any],
    serve: Callable[[Any, int], AbstractContextManager[str]],
    argv: Sequence[str] | None = None,
) -> int:
    """Serve the shop of a framework until Ctrl+C, and print its address.

    framework: the name of the framework.
    make_app: creates the application with a given ring.
    serve: serves an application on a port; the value of its context is the address.
    argv: the command line, else that of the process.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m example_apps.{framework.lower()}_shop",
        description=f"Fern & Stone, a shop in {framework}. Customers: ada (analytical), grace (compiler).",
    )
    parser.add_argument("--port", type=int, default=0, help="port to serve on (default: any free port)")
    parser.add_argument(
        "--keys", default="memory:", help="folder or URL of the keys (default: in memory, lost on exit)"
    )
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    # a short poll interval, so that the page about cookies shows the effect of `dpm keys revoke` at once
    policy = RotationPolicy(poll=timedelta(seconds=1))
    dp = DataProtection("fern-and-stone", repository=options.keys, key_wrapper="plain:", policy=policy)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with serve(make_app(dp), options.port) as url, contextlib.suppress(KeyboardInterrupt):
        print(f"open {url} in a browser; press Ctrl+C to stop", flush=True)
        threading.Event().wait()
    return 0
