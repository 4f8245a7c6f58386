"""What is in the API reference: every name in ``__all__`` of a module, once.

A page of ``api/`` is named after its module. A name that several modules export is described on one page, and the index
of objects has it under each of its names.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

from dpmiddleware import errors
from dpmiddleware.web import public

_PAGES: Final = "api/"
_SHARED: Final = {
    public.__name__: set(public.__all__),
    errors.__name__: set(errors.__all__),
    "dpmiddleware.flask": {"FlaskFormat", "FlaskSession"},
}
"""Names that other modules export, too, and the module on whose page they are."""
_NOT_SHOWN: Final = {"__version__"}
_log = logging.getLogger(__name__)


def exported(env: BuildEnvironment) -> dict[str, list[str]]:
    """The modules that have a page, with the names that they export."""
    pages = [page.removeprefix(_PAGES) for page in env.found_docs if page.startswith(f"{_PAGES}dpmiddleware")]
    return {
        page: [name for name in importlib.import_module(page).__all__ if name not in _NOT_SHOWN]
        for page in sorted(pages)
    }


def import_lazy_names(_app: Sphinx, env: BuildEnvironment, _names: list[str]) -> None:
    """Handle ``env-before-read-docs``: autodoc sees no name that a module imports at its first use."""
    for module, names in exported(env).items():
        found = importlib.import_module(module)
        for name in names:
            setattr(found, name, getattr(found, name))


def skip(app: Sphinx, kind: str, name: str, found: object, skipped: bool, _options: object) -> bool | None:
    """Handle ``autodoc-skip-member``: ``True`` leaves a name out, ``False`` takes it in, ``None`` is no opinion."""
    page = app.env.current_document.docname.removeprefix(_PAGES)
    if kind != "module":
        return False if isinstance(found, Enum) else skipped or None
    if any(name in names for home, names in _SHARED.items() if home != page):
        return True
    return name not in importlib.import_module(page).__all__ or name in _NOT_SHOWN


@cache
def documented(module: str) -> dict[str, list[str]]:
    """The texts below the constants of a module."""
    docs = ModuleAnalyzer.for_module(module).find_attr_docs()  # slow: parses the module
    return {name: lines for (around, name), lines in docs.items() if not around}


def describe(app: Sphinx, kind: str, name: str, _found: object, _options: object, lines: list[str]) -> None:
    """Handle ``autodoc-process-docstring``: a constant is described where it is defined."""
    del app
    if kind == "data":
        where, _, constant = name.rpartition(".")
        lines[:] = next(
            (
                documented(module)[constant]
                for module in defining(constant, first=where)
                if constant in documented(module)
            ),
            [],
        )
        if not lines:
            _log.warning("%s has no description", name, type="ref", subtype="public")


def defining(constant: str, *, first: str) -> Iterator[str]:
    """The modules of the package that assign this name; the one that exports it comes first."""
    for name in [first, *sorted(name for name in sys.modules if name.startswith("dpmiddleware."))]:
        path = Path(sys.modules[name].__file__ or "")
        if path.suffix == ".py" and re.search(rf"^{constant}\b.* = ", path.read_text("utf-8"), re.MULTILINE):
            yield name


def share(_app: Sphinx, env: BuildEnvironment) -> None:
    """Handle ``env-updated``: find what is described elsewhere under all of its names; nothing may be missing."""
    objects = env.domains.python_domain.objects
    homes = {name: home for home, names in _SHARED.items() for name in names}
    for module, names in exported(env).items():
        for name in names:
            home = f"{homes.get(name, module)}.{name}"
            for known in [known for known in objects if known == home or known.startswith(f"{home}.")]:
                objects.setdefault(known.replace(home, f"{module}.{name}", 1), objects[known]._replace(aliased=True))
            if f"{module}.{name}" not in objects:
                _log.warning("%s.%s is not in the reference", module, name, type="ref", subtype="public")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("env-before-read-docs", import_lazy_names)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", describe)
    app.connect("env-updated", share)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
