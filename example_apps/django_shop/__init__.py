"""Fern & Stone in Django: ``python -m example_apps.django_shop``.

settings.py says how Django is joined to the ring, views.py and urls.py are the shop; what the shops share is in
`example_apps.plants`. There is no database: the basket is in the session, the session in a cookie, and the
customers are those of `example_apps.plants.stock`.
"""
