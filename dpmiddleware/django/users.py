"""The user that a view sees: ``request.user``, ``request.auser`` and ``request.principal``, from a ticket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from werkzeug.local import LocalProxy

from dpmiddleware.web.sign_in.authentication import RequestAuthentication
from dpmiddleware.web.sign_in.claims import Principal

__all__ = ["PrincipalUser", "UserOfRequest"]


class PrincipalUser:
    """The user that a ticket names, for whom there is no account: signed in, without permissions.

    ``principal``: who it is, with all claims.
    """

    is_active = True
    is_staff = is_superuser = False
    pk = id = None

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    @property
    def is_authenticated(self) -> bool:
        """Whether somebody is signed in."""
        return self.principal.is_authenticated

    @property
    def is_anonymous(self) -> bool:
        """The opposite."""
        return not self.is_authenticated

    @property
    def username(self) -> str:
        """The name, or nothing."""
        return self.principal.name or ""

    def get_username(self) -> str:
        """The name, or nothing."""
        return self.username

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """No: permissions belong to accounts."""
        return False

    def has_perms(self, perm_list: Any, obj: object = None) -> bool:
        """No: permissions belong to accounts."""
        return False

    def has_module_perms(self, app_label: str) -> bool:
        """No: permissions belong to accounts."""
        return False

    def __str__(self) -> str:
        return self.username


@dataclass(slots=True)
class UserOfRequest:
    """The user of one request, as its attributes show them.

    user_of: the option ``user``.
    authentication: says who it is.
    before: the user that other middleware found, if there is any; who it is without a ticket.
    """

    user_of: Callable[[Principal], Any]
    authentication: RequestAuthentication
    before: Any

    def show_in(self, request: HttpRequest) -> None:
        """Set ``principal``, ``user`` and ``auser``. They are read at first use."""
        from asgiref.sync import sync_to_async  # Django's own dependency

        user: Any = SimpleLazyObject(self._found)
        request.principal = LocalProxy(lambda: self.authentication.principal)  # type: ignore[attr-defined]  # ours
        request.user = user
        request.auser = sync_to_async(lambda: _resolved(user))

    def _found(self) -> Any:
        principal = self.authentication.principal
        user = self.user_of(principal) if principal.is_authenticated else None
        if user is not None:
            return user
        return PrincipalUser(Principal()) if self.before is None else self.before

    def leave(self) -> None:
        """Nobody is signed in any more, whatever other middleware found."""
        if apps.is_installed("django.contrib.auth"):
            from django.contrib.auth.models import AnonymousUser  # fails where the application is not installed

            self.before = AnonymousUser()
        else:
            self.before = None


def _resolved(user: Any) -> Any:
    _ = user.is_authenticated
    return user
