from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path


class Greeter(WebsocketConsumer):
    def connect(self):
        self.accept()
        self.send(f"hello {self.scope['user'].username}")


application = ProtocolTypeRouter(
    {
        "http": application,
        "websocket": AuthMiddlewareStack(URLRouter([path("greeter", Greeter.as_asgi())])),
    }
)
