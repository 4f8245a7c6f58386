"""The verbs for test clients: the same for every framework; the class of the client says which one it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dpmiddleware.errors import RepositoryError, WrongTypeError

if TYPE_CHECKING:
    from dpmiddleware.testing.visits import Visited
    from dpmiddleware.web.sign_in.claims import Principal
    from dpmiddleware.web.sign_in.properties import AuthenticationProperties

__all__ = ["principal_of", "session_of", "set_session", "sign_in"]

_T = TypeVar("_T")
_ADAPTERS: Final = {
    ("flask", "FlaskClient"): "wsgi_clients",
    ("werkzeug", "Client"): "wsgi_clients",
    ("django", "Client"): "django_clients",
    ("django", "AsyncClient"): "django_clients",
    ("quart", "QuartClient"): "quart_clients",
    ("starlette", "TestClient"): "asgi_clients",
    ("httpx", "AsyncClient"): "asgi_clients",
    ("httpx2", "AsyncClient"): "asgi_clients",
}
"""Library and class of a client → the module here that visits with it."""
_HINT: Final = (
    "pass app.test_client() of Flask or Quart, Client() or AsyncClient() of django.test, "
    "TestClient(app) of Starlette or FastAPI, or httpx.AsyncClient(transport=ASGITransport(app=app))"
)


def sign_in(
    client: object,
    principal: Principal,
    properties: AuthenticationProperties | None = None,
    *,
    base_url: str | None = None,
) -> None:
    """Sign ``principal`` in: the client's next request is theirs.

    The sign-in passes through the application's own cookie authentication, with its events and its ticket store. A
    session that the client has is renewed, as in a request that signs in.

    base_url: where the client's requests go, for instance "https://shop.example"; by default where the client says.
    """
    _visit("sign_in", client, lambda visited: visited.authentication().sign_in(principal, properties), base_url)


def principal_of(client: object, *, base_url: str | None = None) -> Principal:
    """The user whom the application sees in the client's next request; ``Principal()`` if anonymous."""
    return _visit("principal_of", client, lambda visited: visited.authentication().principal, base_url)


def session_of(client: object, *, base_url: str | None = None) -> dict[str, Any]:
    """The session that the application sees in the client's next request, as a dictionary; empty if there is none."""
    return _visit("session_of", client, lambda visited: dict(visited.session().items()), base_url)


def set_session(client: object, values: Mapping[str, Any], *, base_url: str | None = None) -> None:
    """Give the client a session with these values, in place of what is in its session."""

    def replace(visited: Visited) -> None:
        session = visited.session()
        session.clear()
        session.update(values)

    _visit("set_session", client, replace, base_url)


def _visit(verb: str, client: object, use: Callable[[Visited], _T], base_url: str | None) -> _T:
    """Let ``use`` look at one request of the client; return what it returns."""
    results: list[_T] = []
    errors: list[Exception] = []

    def noted(visited: Visited) -> None:
        try:
            results.append(use(visited))
        except Exception as error:
            errors.append(error)
            raise

    adapter = _adapter_of(verb, client)
    try:
        status: int = adapter.visit(client, noted, base_url)
    except Exception:
        if not errors:
            raise
        status = 500
    if errors:
        raise errors[0]  # the middleware may have made an answer of it
    if status == 503:
        raise RepositoryError(
            f"{verb}() was answered 503: the application has no key ring", hint="give it a ring in memory in tests"
        )
    return results[0]


def _adapter_of(verb: str, client: object) -> Any:
    for kind in type(client).__mro__:
        name = _ADAPTERS.get((kind.__module__.partition(".")[0], kind.__name__))
        if name is not None:
            return import_module(f"dpmiddleware.testing.{name}")
    given = type(client)
    raise WrongTypeError(
        f"{verb}() takes a test client as client, not {given.__module__}.{given.__qualname__}", hint=_HINT
    )
