"""The authentication of SQLAdmin's documentation."""

from sqladmin import Admin, ModelView
from sqladmin.authentication import AuthenticationBackend
from sqlalchemy import Column, Integer, String, create_engine
from sqlalchemy.orm import declarative_base
from starlette.applications import Starlette

Base = declarative_base()
engine = create_engine("sqlite:///shop.sqlite", connect_args={"check_same_thread": False})


class Customer(Base):
    __tablename__ = "customers"
    id = Column(Integer, primary_key=True)
    name = Column(String)


class AdminAuth(AuthenticationBackend):
    async def login(self, request):
        form = await request.form()
        if (form["username"], form["password"]) != ("ada", "secret"):
            return False
        request.session.update({"token": "of ada"})
        return True

    async def logout(self, request):
        request.session.clear()
        return True

    async def authenticate(self, request):
        return "token" in request.session


class CustomerAdmin(ModelView, model=Customer):
    column_list = [Customer.id, Customer.name]


app = Starlette()
backend = AdminAuth(secret_key="signs cookies")
admin = Admin(app, engine, authentication_backend=backend)
admin.add_view(CustomerAdmin)
Base.metadata.create_all(engine)
