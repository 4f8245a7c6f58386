"""Authentication by a session on the server, as Litestar documents it."""

from typing import Annotated

from litestar import Litestar, Request, get, post
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.params import Body
from litestar.security.session_auth import SessionAuth
from litestar.stores.file import FileStore


async def user_of(session: dict, connection) -> str | None:
    return session.get("user")


@post("/login", status_code=200)
async def login(data: Annotated[dict, Body(media_type="application/x-www-form-urlencoded")], request: Request) -> str:
    request.set_session({"user": data["name"]})
    return "welcome"


@get("/account")
async def account(request: Request) -> str:
    return f"hello {request.user}"


@get("/logout")
async def logout(request: Request) -> str:
    request.clear_session()
    return "goodbye"


session_auth = SessionAuth(
    retrieve_user_handler=user_of, session_backend_config=ServerSideSessionConfig(), exclude=["/login", "/alive"]
)
app = Litestar(
    [login, account, logout], on_app_init=[session_auth.on_app_init], stores={"sessions": FileStore("sessions")}
)
