"""A page with a login, as in NiceGUI's example *authentication*; the form is an ordinary one."""

import os

from fastapi import Request
from fastapi.responses import RedirectResponse
from nicegui import app, ui


@app.post("/login")
async def login(request: Request):
    app.storage.user["name"] = (await request.form())["name"]
    return RedirectResponse("/account", status_code=303)


@app.get("/logout")
def logout(request: Request):
    app.storage.user.clear()
    request.session.clear()
    return "goodbye"


@ui.page("/account")
def account():
    ui.label(f"hello {app.storage.user.get('name')}")


ui.run(host="127.0.0.1", port=int(os.environ["PORT"]), storage_secret="signs cookies", show=False, reload=False)
