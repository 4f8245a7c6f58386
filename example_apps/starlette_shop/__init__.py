"""Fern & Stone in Starlette: ``python -m example_apps.starlette_shop``.

app.py has the code for Starlette; the shops share the rest, `example_apps.plants`.
"""
