"""What users of every framework type: each framework's package hands on all of these names."""

from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.device_bound.options import DeviceBound
from dpmiddleware.web.sessions.migration import DjangoSessions, FlaskSessions, StarletteSessions
from dpmiddleware.web.sessions.server_sessions import ServerSessions
from dpmiddleware.web.sign_in.claims import Claim, ClaimTypes, ClaimValueTypes, Identity, Principal
from dpmiddleware.web.sign_in.events import (
    CookieAuthenticationEvents,
    DeviceContext,
    RedirectContext,
    SignedInContext,
    SigningInContext,
    SigningOutContext,
    SlidingExpirationContext,
    ValidatePrincipalContext,
)
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions, allow_cookie_redirect, api
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.return_urls import is_local
from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore, RedisTicketStore, TicketStore
from dpmiddleware.web.sign_in.verbs import AuthenticateResult, FreshSignInRequired

__all__ = [
    "AuthenticateResult",
    "AuthenticationProperties",
    "Claim",
    "ClaimTypes",
    "ClaimValueTypes",
    "CookieAuthenticationEvents",
    "CookieAuthenticationOptions",
    "CookieSettings",
    "DeviceBound",
    "DeviceContext",
    "DjangoSessions",
    "FlaskSessions",
    "FreshSignInRequired",
    "Identity",
    "MemoryTicketStore",
    "Principal",
    "RedirectContext",
    "RedisTicketStore",
    "ServerSessions",
    "SignedInContext",
    "SigningInContext",
    "SigningOutContext",
    "SlidingExpirationContext",
    "StarletteSessions",
    "TicketStore",
    "ValidatePrincipalContext",
    "allow_cookie_redirect",
    "api",
    "is_local",
]
