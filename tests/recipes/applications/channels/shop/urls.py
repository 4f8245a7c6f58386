from django.http import HttpResponse


def fill(request):
    request.session["cart"] = ["apples and pears"] * 250
    return HttpResponse("full")


urlpatterns += [path("fill", fill)]
