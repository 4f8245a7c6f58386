"""The shop in Starlette: ``request.session`` is the basket, ``request.user`` the customer.

Forms have no CSRF token: `CrossOriginProtectionMiddleware` refuses those of other sites.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from dpmiddleware import DataProtection
from dpmiddleware.asgi import cookie_header
from dpmiddleware.errors import CookieTooLargeError
from dpmiddleware.starlette import (
    AuthenticationProperties,
    CookieAuthenticationMiddleware,
    CookieSettings,
    CrossOriginProtectionMiddleware,
    SessionMiddleware,
    authenticate,
    is_local,
    login_required,
    sign_in,
    sign_out,
)
from example_apps.plants.cookies import describe_cookie, describe_ring, in_session, in_ticket
from example_apps.plants.stock import PLANTS, changed_basket, customer, lines

__all__ = ["SESSION", "TICKET", "make_app"]

SESSION: Final = CookieSettings("starlette_session")
TICKET: Final = CookieSettings(".AspNetCore.Cookies", max_total=16_000)
PRIVATE: Final = {"Cache-Control": "no-store"}
"""For pages that browsers must not store, so that the back button does not show them after a sign-out."""


def make_app(
    data_protection: DataProtection, session: CookieSettings = SESSION, ticket: CookieSettings = TICKET
) -> Starlette:
    """The application. session, ticket: its two cookies."""
    app = Starlette(
        routes=[
            Route("/", catalogue),
            Route("/basket", show_basket),
            Route("/basket/add", add_to_basket, methods=["POST"]),
            Route("/basket/remove", take_from_basket, methods=["POST"]),
            Route("/basket/note", keep_note, methods=["POST"]),
            Route("/sign-in", show_sign_in),
            Route("/sign-in", enter, methods=["POST"]),
            Route("/sign-out", leave, methods=["POST"]),
            Route("/account", account),
            Route("/cookie", show_cookies),
        ],
        exception_handlers={500: too_large},
    )
    app.state.data_protection, app.state.cookies = data_protection, (session.name, ticket.name)
    app.add_middleware(SessionMiddleware, data_protection=data_protection, cookie=session)
    app.add_middleware(
        CookieAuthenticationMiddleware,
        data_protection=data_protection,
        cookie=ticket,
        login_path="/sign-in",
        logout_path="/sign-out",
    )
    app.add_middleware(CrossOriginProtectionMiddleware)
    return app


def in_every_page(request: Request) -> dict[str, Any]:
    """The variables of the page header."""
    return {
        "framework": "Starlette",
        "customer": request.user.display_name,
        "basket": lines(request.session.get("basket", {})),
    }


templates = Jinja2Templates(
    Path(__file__).parents[1] / "plants" / "templates",
    context_processors=[in_every_page],
)


async def catalogue(request: Request) -> Response:
    """All plants."""
    return templates.TemplateResponse(request, "catalogue.html", {"plants": PLANTS})


async def show_basket(request: Request) -> Response:
    """The basket, and the message for the card."""
    context = {"note": request.session.get("note", "")}
    return templates.TemplateResponse(request, "basket.html", context, headers=PRIVATE)


async def add_to_basket(request: Request) -> Response:
    """Add one plant."""
    return await _change_basket(request, 1)


async def take_from_basket(request: Request) -> Response:
    """Remove one plant."""
    return await _change_basket(request, -1)


async def _change_basket(request: Request, by: int) -> Response:
    plant = (await _form(request)).get("plant", "")
    request.session["basket"] = changed_basket(request.session.get("basket", {}), plant, by)
    return RedirectResponse("/basket", 303)


async def keep_note(request: Request) -> Response:
    """Save the message for the card. The session may become too large for its cookie, see `too_large`."""
    request.session["note"] = (await _form(request)).get("note", "")
    return RedirectResponse("/basket", 303)


async def show_sign_in(request: Request) -> Response:
    """The sign-in form."""
    return templates.TemplateResponse(request, "sign_in.html")


async def enter(request: Request) -> Response:
    """Sign in, and return to the page that the visitor came from."""
    form = await _form(request)
    principal = customer(form.get("name", ""), form.get("password", ""))
    if principal is None:
        problem = "The name or the password is wrong."
        return templates.TemplateResponse(request, "sign_in.html", {"problem": problem}, status_code=403)
    sign_in(request, principal, AuthenticationProperties(is_persistent="keep" in form))
    wanted = request.query_params.get("ReturnUrl", "")
    return RedirectResponse(wanted if is_local(wanted) else "/", 303)


async def leave(request: Request) -> Response:
    """Sign out, which also empties the session."""
    sign_out(request)
    return RedirectResponse("/", 303)


@login_required
async def account(request: Request) -> Response:
    """A page for users who are signed in."""
    return templates.TemplateResponse(request, "account.html", headers=PRIVATE)


async def show_cookies(request: Request) -> Response:
    """The cookies of the visitor, and the keys that protect them."""
    dp: DataProtection = request.app.state.data_protection
    header = cookie_header(request.scope)
    session, ticket = request.app.state.cookies
    context = {
        "header_size": len(header),
        "cookies": [
            describe_cookie(dp, header, session, "The session", in_session(request.session)),
            describe_cookie(dp, header, ticket, "The sign-in", in_ticket(authenticate(request).ticket)),
        ],
        "ring": describe_ring(dp),
        "location": dp.repository.location,
    }
    return templates.TemplateResponse(request, "cookie.html", context, headers=PRIVATE)


async def too_large(request: Request, error: Exception) -> Response:
    """The session did not fit into its cookie, so it was not sent. The browser keeps its old cookie."""
    if not isinstance(error, CookieTooLargeError):
        return Response("Internal server error.", 500)
    context = {"title": "That is too long", "problem": str(error), "hint": error.hint}
    return templates.TemplateResponse(request, "problem.html", context, status_code=413)


async def _form(request: Request) -> dict[str, str]:
    """A form as browsers send it by default. Starlette's own parser needs another package (python-multipart)."""
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
