"""Fern & Stone in Starlette: ``python -m example_apps.starlette_shop``.

app.py is all that is Starlette's; what the shops share is in `example_apps.plants`.
"""
