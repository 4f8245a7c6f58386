"""Cross-origin protection for Django, beside its CSRF tokens or in their place.

    MIDDLEWARE = ["dpmiddleware.django.CrossOriginProtectionMiddleware", …]      # first
    DATA_PROTECTION_CROSS_ORIGIN = {"trusted_origins": ["https://login.example"]}

The options are those of `dpmiddleware.cross_origin.guard.CrossOriginOptions`, and

- ``replaces_csrf``: a form that the browser itself calls same-origin needs no CSRF token. For other requests
  ``CsrfViewMiddleware`` still wants one.
- ``respect_csrf_exempt``: views with Django's ``csrf_exempt`` are exempt here, too.

``CSRF_TRUSTED_ORIGINS`` are trusted unless ``trusted_origins`` is given. ``on_refused`` may be the name of a function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

from dpmiddleware.cross_origin.decision import CrossOriginRules, Verdict
from dpmiddleware.cross_origin.exemption import is_exempt_view
from dpmiddleware.cross_origin.guard import REFUSAL, CrossOriginGuard, from_setting, guard_of, unambiguous
from dpmiddleware.cross_origin.wsgi import browser_headers, is_safe, is_websocket, raw_path
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.naming import CROSS_ORIGIN, renamed

__all__ = ["CrossOriginProtectionMiddleware"]

_OWN: Final = ("replaces_csrf", "respect_csrf_exempt")


class CrossOriginProtectionMiddleware(MiddlewareMixin):
    """Refuses what pages of other origins send: POST and other unsafe requests. Put it first.

    Settings: see `dpmiddleware.cross_origin.django`. ``on_refused`` gets Django's request and the `Verdict`, and
    returns a response. Views marked with `cross_origin_exempt` are exempt.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        given = from_setting(getattr(settings, CROSS_ORIGIN, {}), {}, _OWN)
        self._replaces_csrf = _switch(given, "replaces_csrf")
        self._respects_csrf_exempt = _switch(given, "respect_csrf_exempt")
        self.guard = _guard(given)

    def __call__(self, request: HttpRequest) -> Any:
        """Serve one request."""
        if is_safe(request.META):
            return self.get_response(request)
        verdict = self._verdict(request)
        if not verdict.allowed:
            return self._refused_later(request, verdict) if self.async_mode else self._refused(request, verdict)
        if self._replaces_csrf and verdict.reason == "same_origin":
            request.csrf_processing_done = True  # type: ignore[attr-defined]  # CsrfViewMiddleware looks for it
        return self.get_response(request)

    def _verdict(self, request: HttpRequest) -> Verdict:
        meta = request.META
        return self.guard.judge(
            meta["REQUEST_METHOD"],
            request.scheme or "http",
            _host(meta),
            browser_headers(meta),
            request,
            _path_of,
            self._is_exempt,
            is_websocket(meta),
        )

    def _is_exempt(self, request: HttpRequest) -> bool:
        """Whether the view has a mark. Only looked for before a refusal, with the URLs that are in force here."""
        try:
            view = resolve(request.path_info, getattr(request, "urlconf", None)).func
        except Resolver404:
            return False
        if self._respects_csrf_exempt and getattr(view, "csrf_exempt", False) is True:
            return True
        return is_exempt_view(view)

    def _refused(self, request: HttpRequest, verdict: Verdict) -> Any:
        from asgiref.sync import async_to_sync  # Django's own dependency

        own = self.guard.on_refused
        if own is not None and not is_websocket(request.META):
            instead = (async_to_sync(own) if inspect.iscoroutinefunction(own) else own)(request, verdict)
            if instead is not None:
                return instead
        return HttpResponse(REFUSAL.body, status=REFUSAL.status, headers=dict(REFUSAL.titled))

    async def _refused_later(self, request: HttpRequest, verdict: Verdict) -> Any:
        from asgiref.sync import sync_to_async

        return await sync_to_async(self._refused)(request, verdict)


def _switch(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise ConfigurationError(
            f'{CROSS_ORIGIN}["{name}"] is of the type {type(value).__name__}', hint="set it to True or False"
        )
    return value


def _guard(given: Mapping[str, Any]) -> CrossOriginGuard:
    options = {name: value for name, value in given.items() if name not in _OWN}
    if isinstance(options.get("on_refused"), str):
        options["on_refused"] = import_string(options["on_refused"])
    if "trusted_origins" not in options:
        with renamed({"trusted_origins": "CSRF_TRUSTED_ORIGINS"}):
            CrossOriginRules(trusted_origins=settings.CSRF_TRUSTED_ORIGINS)
        options["trusted_origins"] = settings.CSRF_TRUSTED_ORIGINS
    return guard_of(options, {})


def _host(meta: Mapping[str, Any]) -> str:
    """The Host header, or what Django's own setting says instead."""
    forwarded = meta.get("HTTP_X_FORWARDED_HOST", "") if settings.USE_X_FORWARDED_HOST else ""
    return str(forwarded or meta.get("HTTP_HOST", ""))


def _path_of(request: HttpRequest) -> str:
    sent: bytes = getattr(request, "scope", {}).get("raw_path") or b""
    return unambiguous(sent.decode("latin-1") or raw_path(request.META), request.path)
