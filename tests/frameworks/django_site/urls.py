"""Its pages."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import authenticate, login, logout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from dpmiddleware.django import (
    AuthenticationProperties,
    Principal,
    api,
    challenge,
    forbid,
    login_required,
    sign_in,
    sign_out,
)


def put(request: HttpRequest) -> HttpResponse:
    request.session.update(json.loads(request.GET.get("values", '{"a": 1}')))
    return HttpResponse("ok")


def get(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(request.session))


def edit(request: HttpRequest) -> HttpResponse:
    request.session["nested"]["list"].append(2)
    return HttpResponse("ok")


def flush(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return HttpResponse("ok")


def expiry(request: HttpRequest) -> HttpResponse:
    request.session.set_expiry(int(request.GET["seconds"]))
    return HttpResponse("ok")


def bare(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def fail(request: HttpRequest) -> HttpResponse:
    request.session["failed"] = True
    return HttpResponse("failed", status=500)


def say(request: HttpRequest) -> HttpResponse:
    messages.info(request, "saved ✓")
    return HttpResponse("ok")


def said(request: HttpRequest) -> HttpResponse:
    return HttpResponse(", ".join(str(message) for message in messages.get_messages(request)))


def account_login(request: HttpRequest) -> HttpResponse:
    login(request, authenticate(request, username=request.GET["name"], password="secret"))
    return HttpResponse("in")


def account_logout(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("out")


def ticket_login(request: HttpRequest) -> HttpResponse:
    sign_in(request, Principal("ada", roles=["admin"]), AuthenticationProperties(is_persistent=True))
    return HttpResponse("in")


def ticket_logout(request: HttpRequest) -> HttpResponse:
    sign_out(request)
    return HttpResponse("out")


def who(request: HttpRequest) -> HttpResponse:
    user: Any = request.user
    return JsonResponse([user.is_authenticated, user.get_username(), user.__class__.__name__], safe=False)


async def who_async(request: HttpRequest) -> HttpResponse:
    user: Any = await request.auser()
    return JsonResponse([user.is_authenticated, user.get_username(), user.__class__.__name__], safe=False)


@login_required
def private(request: HttpRequest) -> HttpResponse:
    return HttpResponse("private")


@login_required
async def private_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse("private")


@api
def data(request: HttpRequest) -> HttpResponse:
    return JsonResponse({}) if request.user.is_authenticated else challenge(request)


def no(request: HttpRequest) -> HttpResponse:
    return forbid(request)


def signed(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(request.get_signed_cookie("choice", default="none", max_age=60))
    response.set_signed_cookie("choice", "tea; with milk")
    return response


async def put_async(request: HttpRequest) -> HttpResponse:
    await request.session.aset("b", await request.session.aget("a", 0))
    return HttpResponse("ok")


urlpatterns = [
    path("admin/", admin.site.urls),
    path("put", put),
    path("put-async", put_async),
    path("get", get),
    path("edit", edit),
    path("flush", flush),
    path("expiry", expiry),
    path("bare", bare),
    path("fail", fail),
    path("say", say),
    path("said", said),
    path("account/login", account_login),
    path("account/logout", account_logout),
    path("login", ticket_login),
    path("logout", ticket_logout),
    path("who", who),
    path("who-async", who_async),
    path("private", private),
    path("private-async", private_async),
    path("data", data),
    path("no", no),
    path("signed", signed),
]
