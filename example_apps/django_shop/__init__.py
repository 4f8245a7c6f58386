"""Fern & Stone in Django: ``python -m example_apps.django_shop``.

settings.py connects Django to the ring, views.py and urls.py are the shop, and the shops share `example_apps.plants`.
There is no database: the basket is in the session, the session is in a cookie, and the customers are in
`example_apps.plants.stock`.
"""
