"""The page and the JSON answer of the members in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader

from dpmiddleware.wsgi import AuthenticateResult

__all__ = ["MEMBERS", "page", "who"]

MEMBERS: Final = {"Flask": "/flask/", "Starlette": "/starlette/"}
_HERE: Final = Path(__file__).parent
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader([_HERE / "templates", _HERE.parent / "plants" / "templates"]), autoescape=True
)


def who(member: str, result: AuthenticateResult) -> dict[str, Any]:
    """The user and their sign-in, for JSON."""
    ticket = result.ticket
    if ticket is None:
        return {"member": member, "name": None}
    issued, ends = ticket.properties.issued_utc, ticket.properties.expires_utc
    return {
        "member": member,
        "name": ticket.principal.name,
        "claims": len(list(ticket.principal)),
        "issued": f"{issued:%Y-%m-%d %H:%M}",
        "ends": f"{ends:%Y-%m-%d %H:%M}",
    }


def page(member: str, result: AuthenticateResult, *, aspnet: bool, problem: str = "", private: bool = False) -> str:
    """The only page.

    member: the member that answers.
    result: the sign-in of the request.
    aspnet: whether ASP.NET Core runs, too.
    problem: what was wrong with the form, if anything.
    private: whether only users who are signed in see this page.
    """
    return _TEMPLATES.get_template("member.html").render(
        who=who(member, result), members=MEMBERS, here=MEMBERS[member], aspnet=aspnet, problem=problem, private=private
    )
