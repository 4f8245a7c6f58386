"""A login with an OAuth 2.0 provider, as Authlib documents it for FastAPI. The provider is below /provider."""

import os
from urllib.parse import parse_qs

from authlib.integrations.starlette_client import OAuth
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

PROVIDER = os.environ["PROVIDER"]
oauth = OAuth()
oauth.register(
    "provider",
    client_id="shop",
    client_secret="of the shop",
    authorize_url=f"{PROVIDER}/authorize",
    access_token_url=f"{PROVIDER}/token",
    api_base_url=f"{PROVIDER}/",
)
app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key="signs cookies")


@app.get("/login")
async def login(request: Request):
    return await oauth.provider.authorize_redirect(request, request.url_for("callback"))


@app.get("/callback")
async def callback(request: Request):
    token = await oauth.provider.authorize_access_token(request)
    user = await oauth.provider.get("user", token=token)
    request.session["user"] = user.json()["name"]
    return RedirectResponse("/account")


@app.get("/account")
def account(request: Request):
    return PlainTextResponse(f"hello {request.session.get('user')}")


@app.get("/logout")
def logout(request: Request):
    request.session.pop("user", None)
    return "goodbye"


@app.get("/provider/authorize")
def authorize(redirect_uri: str, state: str):
    return RedirectResponse(f"{redirect_uri}?code=for-ada&state={state}")


@app.post("/provider/token")
async def token(request: Request):
    [code] = parse_qs((await request.body()).decode())["code"]
    return {"access_token": f"token {code}", "token_type": "Bearer"}


@app.get("/provider/user")
def user(request: Request):
    return {"name": "ada"} if request.headers["Authorization"] == "Bearer token for-ada" else {}
