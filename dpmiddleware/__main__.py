"""``python -m dpmiddleware`` runs the command ``dpm``."""

from __future__ import annotations

import sys

from dpmiddleware.cli import main

if __name__ == "__main__":
    sys.exit(main())
