"""References of docstrings and signatures.

A reference to a name of the package that has no entry (what users do not type) is shown as code; one to a name that
does not exist at all is a warning, and so ends the build.
"""

from __future__ import annotations

import builtins
import importlib
import pkgutil
from functools import cache
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import dpmiddleware


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement) -> nodes.Node | None:
    """Handle ``missing-reference``: by the end of the name, else as code if there is such a name."""
    if node.get("refdomain") != "py":
        return None
    target = str(node["reftarget"])
    domain = env.domains.python_domain
    found = domain.find_obj(env, "", "", target, None, 1)
    homes = {(entry.docname, entry.node_id): name for name, entry in found}
    if len(homes) == 1 or (homes and target.startswith("dpmiddleware.")):
        (page, anchor), name = next(iter(homes.items()))
        uri = app.builder.get_relative_uri(env.current_document.docname or node["refdoc"], page)
        return nodes.reference("", "", shown, internal=True, refuri=f"{uri}#{anchor}", reftitle=name)
    return shown if homes or exists(target) else None


def exists(name: str) -> bool:
    """Whether a name of the package, of a library or of Python is meant."""
    first, *rest = name.split(".")
    if not name.startswith("dpmiddleware."):
        if hasattr(builtins, first) or (rest and is_module(first)):
            return True
        return any(reaches(module, name.split(".")) for module in modules())
    return any(
        reaches(importlib.import_module(".".join([first, *rest[:count]])), rest[count:])
        for count in range(len(rest), -1, -1)
        if is_module(".".join([first, *rest[:count]]))
    )


@cache
def is_module(name: str) -> bool:
    """Whether this can be imported."""
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


@cache
def modules() -> list[Any]:
    """The modules of the package that can be imported here."""
    found = pkgutil.walk_packages(dpmiddleware.__path__, "dpmiddleware.", onerror=lambda _: None)
    names = [one.name for one in found if not one.name.rpartition(".")[2].startswith("_")]
    return [importlib.import_module(name) for name in names if is_module(name)]


def reaches(found: Any, path: list[str]) -> bool:
    """Whether these attributes lead somewhere."""
    for name in path:
        if not hasattr(found, name) and name not in getattr(found, "__annotations__", {}):
            return False
        found = getattr(found, name, None)
    return True


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
