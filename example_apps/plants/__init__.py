"""Shared by the shops of the three frameworks.

    stock.py      plants and customers
    cookies.py    describes the cookies of a request and the keys that protect them
    templates/    the pages (Jinja2); each includes shop.css
    serving.py    serves a WSGI or ASGI application on a local port
    command.py    ``python -m example_apps.flask_shop --port 8000 --keys FOLDER``

How a framework uses a ring is shown in `example_apps.flask_shop`, `example_apps.django_shop` and
`example_apps.starlette_shop`, and only there.
"""
