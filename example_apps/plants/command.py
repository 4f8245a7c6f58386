"""The command line that all three shops have."""

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
    """Serve the shop of a framework until Ctrl+C, and print its address."""
    parser = argparse.ArgumentParser(
        prog=f"python -m example_apps.{framework.lower()}_shop",
        description=f"Fern & Stone, a shop in {framework}. Customers: ada (analytical), grace (compiler).",
    )
    parser.add_argument("--port", type=int, default=0, help="default: any that is free")
    parser.add_argument(
        "--keys", default="memory:", help="folder or URL of the keys (default: in memory, lost at the end)"
    )
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    # a second, so that one sees at once in the page about cookies what `dpm keys revoke` does
    policy = RotationPolicy(poll=timedelta(seconds=1))
    dp = DataProtection("fern-and-stone", repository=options.keys, key_wrapper="plain:", policy=policy)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with serve(make_app(dp), options.port) as url, contextlib.suppress(KeyboardInterrupt):
        print(f"open {url} in a browser; Ctrl+C ends it", flush=True)
        threading.Event().wait()
    return 0
