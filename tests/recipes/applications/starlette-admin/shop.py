"""The authentication of starlette-admin's documentation."""

from sqlalchemy import Column, Integer, String, create_engine
from sqlalchemy.orm import declarative_base
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette_admin.auth import AdminUser, AuthProvider
from starlette_admin.contrib.sqla import Admin, ModelView
from starlette_admin.exceptions import LoginFailed

Base = declarative_base()
engine = create_engine("sqlite:///shop.sqlite", connect_args={"check_same_thread": False})


class Customer(Base):
    __tablename__ = "customers"
    id = Column(Integer, primary_key=True)
    name = Column(String)


class Login(AuthProvider):
    async def login(self, username, password, remember_me, request):
        if (username, password) != ("ada", "secret"):
            raise LoginFailed("Invalid username or password")
        request.session["username"] = username

    async def authenticate(self, request):
        name = request.session.get("username")
        return AdminUser(username=name) if name else None

    async def logout(self, request):
        request.session.clear()


app = Starlette()
sessions = Middleware(SessionMiddleware, secret_key="signs cookies")
admin = Admin(engine, secret_key="signs tokens", auth_provider=Login(), middlewares=[sessions])
admin.add_view(ModelView(Customer))
admin.mount_to(app)
Base.metadata.create_all(engine)
