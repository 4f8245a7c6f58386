"""Fern & Stone in Flask: ``python -m example_apps.flask_shop``.

app.py is all that is Flask's; what the shops share is in `example_apps.plants`.
"""
