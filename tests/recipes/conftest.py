"""Recipes are carried out with gunicorn and other servers that do not run everywhere."""

from __future__ import annotations

import sys

collect_ignore = ["test_recipes.py"] if sys.platform == "win32" else []
