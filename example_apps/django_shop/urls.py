"""The URLs of the shop."""

from __future__ import annotations

from django.urls import path

from example_apps.django_shop import views

urlpatterns = [
    path("", views.catalogue),
    path("basket", views.show_basket),
    path("basket/add", views.change_basket, {"by": 1}),
    path("basket/remove", views.change_basket, {"by": -1}),
    path("basket/note", views.keep_note),
    path("sign-in", views.show_sign_in),
    path("sign-out", views.leave),
    path("account", views.account),
    path("cookie", views.show_cookies),
]
handler500 = views.too_large
