from django.urls import include
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView


class Account(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response(f"hello {request.user.username}")


urlpatterns += [path("account", Account.as_view()), path("api-auth/", include("rest_framework.urls"))]
