"""The shop in Django: ``request.session`` is the basket, ``request.user`` the customer."""

from __future__ import annotations

import sys

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, HttpResponseServerError
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from dpmiddleware.django import (
    AuthenticationProperties,
    authenticate,
    get_data_protection,
    is_local,
    login_required,
    sign_in,
    sign_out,
)
from dpmiddleware.errors import CookieTooLargeError
from example_apps.plants.cookies import describe_cookie, describe_ring, in_session, in_ticket
from example_apps.plants.stock import PLANTS, changed_basket, customer

__all__ = [
    "account",
    "catalogue",
    "change_basket",
    "keep_note",
    "leave",
    "show_basket",
    "show_cookies",
    "show_sign_in",
    "too_large",
]

TICKET = ".AspNetCore.Cookies"


class SeeOther(HttpResponseRedirect):
    """A redirect after a form. The browser follows it with GET."""

    status_code = 303


@require_GET
def catalogue(request: HttpRequest) -> HttpResponse:
    """All plants."""
    return render(request, "catalogue.html", {"plants": PLANTS})


# never_cache sends no-store, so that the back button does not show the page after a sign-out
@never_cache
@require_GET
def show_basket(request: HttpRequest) -> HttpResponse:
    """The basket, and the message for the card."""
    return render(request, "basket.html", {"note": request.session.get("note", "")})


@require_POST
def change_basket(request: HttpRequest, by: int) -> HttpResponse:
    """Add or remove one plant."""
    plant = request.POST.get("plant", "")
    request.session["basket"] = changed_basket(request.session.get("basket", {}), plant, by)
    return SeeOther("/basket")


@require_POST
def keep_note(request: HttpRequest) -> HttpResponse:
    """Save the message for the card. The session may become too large for its cookie, see `too_large`."""
    request.session["note"] = request.POST.get("note", "")
    return SeeOther("/basket")


def show_sign_in(request: HttpRequest) -> HttpResponse:
    """The sign-in form. After a sign-in, the visitor returns to the page they came from."""
    if request.method != "POST":
        return render(request, "sign_in.html")
    principal = customer(request.POST.get("name", ""), request.POST.get("password", ""))
    if principal is None:
        problem = "The name or the password is wrong."
        return render(request, "sign_in.html", {"problem": problem}, status=403)
    sign_in(request, principal, AuthenticationProperties(is_persistent="keep" in request.POST))
    wanted = request.GET.get("ReturnUrl", "")
    return SeeOther(wanted if is_local(wanted) else "/")


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Sign out, which also empties the session."""
    sign_out(request)
    return SeeOther("/")


@never_cache
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """A page for users who are signed in."""
    return render(request, "account.html")


@never_cache
@require_GET
def show_cookies(request: HttpRequest) -> HttpResponse:
    """The cookies of the visitor, and the keys that protect them."""
    dp = get_data_protection()
    header = request.headers.get("Cookie", "").encode("latin-1")
    session = in_session(dict(request.session.items()))
    context = {
        "header_size": len(header),
        "cookies": [
            describe_cookie(dp, header, settings.SESSION_COOKIE_NAME, "The session", session),
            describe_cookie(dp, header, TICKET, "The sign-in", in_ticket(authenticate(request).ticket)),
        ],
        "ring": describe_ring(dp),
        "location": dp.repository.location,
    }
    return render(request, "cookie.html", context)


def too_large(request: HttpRequest) -> HttpResponse:
    """The session did not fit into its cookie, so it was not sent. The browser keeps its old cookie."""
    error = sys.exc_info()[1]
    if not isinstance(error, CookieTooLargeError):
        return HttpResponseServerError("Internal server error.")
    context = {"title": "That is too long", "problem": str(error), "hint": error.hint}
    return render(request, "problem.html", context, status=413)
