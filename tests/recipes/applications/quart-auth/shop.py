"""The quick start of Quart-Auth."""

from quart import Quart, request
from quart_auth import AuthUser, QuartAuth, current_user, login_required, login_user, logout_user

app = Quart(__name__)
app.secret_key = "signs cookies"
app.config["QUART_AUTH_COOKIE_SECURE"] = False
QuartAuth(app)


@app.post("/login")
async def login():
    login_user(AuthUser((await request.form)["name"]), remember=True)
    return "welcome"


@app.get("/account")
@login_required
async def account():
    return f"hello {current_user.auth_id}"


@app.get("/logout")
async def logout():
    logout_user()
    return "goodbye"
