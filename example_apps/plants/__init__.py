"""What the shops of the three frameworks share: the stock, the templates (Jinja2), the page about cookies, the server.

    stock.py      plants and customers
    cookies.py    what the cookies of a request show, and which keys protect them
    templates/    the pages; shop.css is set into each
    serving.py    a WSGI or ASGI application on a port of this machine
    command.py    ``python -m example_apps.flask_shop --port 8000 --keys FOLDER``

How a framework is joined to a ring is in `example_apps.flask_shop`, `example_apps.django_shop` and
`example_apps.starlette_shop`, and only there.
"""
