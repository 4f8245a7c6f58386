"""The site of the documentation: Sphinx, with Markdown by MyST and the theme Furo. `make docs` builds it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from django.conf import settings

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE / "extensions"), str(_HERE.parent)]

import dpmiddleware  # noqa: E402 (importable through the line above)

_PROJECT = tomllib.loads((_HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]

project = "dpmiddleware"
author = _PROJECT["authors"][0]["name"]
project_copyright = author
version = release = dpmiddleware.__version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings", "members", "pages", "references"]
exclude_patterns = ["README.md", "extensions"]
code_host = _PROJECT["urls"]["Source"] + "/blob/main/"
"""What is outside this folder is linked there."""

nitpicky = True
nitpick_ignore = [("py:class", f"WSGI{name}") for name in ("Application", "Environment")]  # of typeshed
default_role = "py:obj"
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
highlight_language = "text"

myst_heading_anchors = 4

autodoc_default_options = {"members": True, "imported-members": True}
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
settings.configure()  # the modules for Django ask for some

html_theme = "furo"
html_title = "dpmiddleware"
html_copy_source = False
html_show_sphinx = False
