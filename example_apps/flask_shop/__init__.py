"""Fern & Stone in Flask: ``python -m example_apps.flask_shop``.

app.py has the code for Flask; the shops share the rest, `example_apps.plants`.
"""
