"""``python -m example_apps.shared_login``."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import tempfile
import threading
from pathlib import Path

from example_apps.shared_login.farm import open_farm


def main() -> int:
    """Run the farm until Ctrl+C, and print its address."""
    parser = argparse.ArgumentParser(prog="python -m example_apps.shared_login", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port to serve on (default: any free port)")
    parser.add_argument(
        "--aspnet",
        metavar="PROGRAM",
        default=os.environ.get("DPM_ASPNET_PEER"),
        help="program with ASP.NET Core (default: the variable DPM_ASPNET_PEER)",
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with (
        tempfile.TemporaryDirectory(prefix="shared-login-", ignore_cleanup_errors=True) as keys,
        open_farm(Path(keys), aspnet=options.aspnet, port=options.port) as url,
        contextlib.suppress(KeyboardInterrupt),
    ):
        print(f"open {url} in a browser; press Ctrl+C to stop", flush=True)
        threading.Event().wait()
    return 0


sys.exit(main())
