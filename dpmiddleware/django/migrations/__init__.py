"""Migrations of ``dpmiddleware.django``: the table of a ring in Django's own database (``django:default``)."""
