"""``dpm --app module:name``, and the commands of Flask and Quart: finds an application, and the ring that it runs on.

The name is that of a `DataProtection`, of an application that has one, or of a factory: ``shop:create_app()``. An
application is one of Flask or Quart, Starlette or FastAPI, Django (its WSGI or ASGI handler), or any that middleware
of this package is around. The module is imported as a server imports it: from the working directory, too.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from dpmiddleware.cli.application_cookies import findings_of_cookies
from dpmiddleware.cli.command import Application
from dpmiddleware.cli.finding import Finding
from dpmiddleware.cli.usage import UsageError
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable
from dpmiddleware.secret_sources import may_be_secret

__all__ = ["application_of", "layers", "load"]

_TARGET: Final = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_][\w.]*)(?P<call>\(\))?")
_WRITE: Final = "write --app module:name, such as --app shop:app, or --app shop:create_app() for a factory"
_DJANGO: Final = "django.core.handlers.base.BaseHandler"
_INNER: Final = ("wsgi_app", "asgi_app", "app", "_application", "application")
"""Where middleware and frameworks have what is inside them."""


def load(target: str) -> Application:
    """The application that ``module:name`` or ``module:factory()`` names. `UsageError`."""
    parts = _TARGET.fullmatch(target)
    if parts is None:
        raise UsageError("--app does not name an object in a module", hint=_WRITE)
    found: Any = _imported(parts["module"])
    for name in parts["name"].split("."):
        if not hasattr(found, name):
            raise UsageError(f"--app: the module {parts['module']} has no {printable(parts['name'], 80)}", hint=_WRITE)
        found = getattr(found, name)
    return application_of(_made(found, target) if parts["call"] else found, target)


def _imported(name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        there = find_spec(name) is not None
    except ModuleNotFoundError:
        there = False
    if not there:
        hint = "run dpm in the folder of the application, or set PYTHONPATH"
        raise UsageError(f"--app: there is no module {printable(name, 80)} in {here} or on the path", hint=hint)
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise _failed(f"the module {name} cannot be imported", error) from error


def _made(factory: Any, target: str) -> Any:
    try:
        return factory()
    except Exception as error:
        raise _failed(f"{target} fails", error) from error


def _failed(what: str, error: Exception) -> UsageError:
    """The application may raise anything; its text is shown unless it may be a secret."""
    text = str(error)
    shown = type(error).__name__ + ("" if not text or may_be_secret(text) else f": {printable(text, 300)}")
    hint = (
        error.hint
        if isinstance(error, ConfigurationError)
        else "correct the application; start it to see the traceback"
    )
    return UsageError(f"--app: {what}: {shown}", hint=hint)


def application_of(served: Any, target: str) -> Application:
    """An object, as an application with its ring. `UsageError` if it has none, or several."""
    if isinstance(served, DataProtection):
        return Application(served)
    found = list(layers(served))
    rings = list({id(dp): dp for layer in found for dp in _rings_of(layer)}.values())
    if len(rings) == 1:
        return Application(rings[0], lambda: _findings(found))
    if rings:
        hint = "name the DataProtection that is meant: --app module:dp"
        raise UsageError(f"{target} has {len(rings)} different rings", hint=hint)
    is_factory = callable(served) and hasattr(served, "__code__")
    hint = (
        f"write {target}() if it is a factory"
        if is_factory
        else "name its DataProtection: --app module:dp; or pass data_protection= to its extension or middleware"
    )
    raise UsageError(f"{target} is a {type(served).__name__} without data protection", hint=hint)


def _findings(found: list[Any]) -> Iterator[Finding]:
    """What the layers say of their cookies, and Django of its settings."""
    yield from findings_of_cookies(found)
    if any(map(_is_django, found)):
        from dpmiddleware.cli.django_findings import findings_of_settings

        yield from findings_of_settings()


def layers(served: Any) -> Iterator[Any]:
    """An application and what is inside it, from the outside; middleware that Starlette has yet to make is made."""
    seen: set[int] = set()
    waiting = [served]
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen or one is None:
            continue
        seen.add(id(one))
        yield one
        for middleware in getattr(one, "user_middleware", ()):
            if str(getattr(middleware.cls, "__module__", "")).startswith("dpmiddleware."):
                yield middleware.cls(_nothing, *getattr(middleware, "args", ()), **middleware.kwargs)
        waiting += [inner for name in _INNER if (inner := vars_of(one).get(name)) is not None]


def vars_of(one: Any) -> dict[str, Any]:
    """The attributes of an object, none if it keeps them elsewhere. Properties are not run."""
    return getattr(one, "__dict__", {})


async def _nothing(*_: object) -> None:
    """The application inside a middleware that is only looked at."""


def _is_django(layer: Any) -> bool:
    return any(f"{one.__module__}.{one.__name__}" == _DJANGO for one in type(layer).__mro__)


def _rings_of(layer: Any) -> Iterator[DataProtection]:
    """The rings that one layer has: ours directly, Flask's and Quart's among the extensions, Django's by setting."""
    if _is_django(layer):
        from dpmiddleware.django.apps import get_data_protection

        yield get_data_protection()
    own, extensions = vars_of(layer).get("data_protection"), vars_of(layer).get("extensions")
    if isinstance(own, DataProtection):
        yield own
    if isinstance(extensions, dict) and isinstance(extensions.get("dpmiddleware"), DataProtection):
        yield extensions["dpmiddleware"]
