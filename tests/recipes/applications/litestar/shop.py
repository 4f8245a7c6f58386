"""Sessions in a cookie, as Litestar's documentation has them."""

from typing import Annotated

from litestar import Litestar, Request, get, post
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.params import Body

sessions = CookieBackendConfig(secret=b"of sixteen bytes").middleware


@post("/login", status_code=200)
async def login(data: Annotated[dict, Body(media_type="application/x-www-form-urlencoded")], request: Request) -> str:
    request.set_session({"user": data["name"]})
    return "welcome"


@get("/account")
async def account(request: Request) -> str:
    return f"hello {request.session.get('user')}"


@get("/logout")
async def logout(request: Request) -> str:
    request.clear_session()
    return "goodbye"


app = Litestar([login, account, logout], middleware=[sessions])
