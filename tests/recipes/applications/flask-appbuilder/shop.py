"""The application that `flask fab create-app` writes, in one file."""

from flask import Flask
from flask_appbuilder import AppBuilder
from flask_appbuilder.utils.legacy import get_sqla_class

app = Flask(__name__)
app.config.update(SECRET_KEY="signs cookies", SQLALCHEMY_DATABASE_URI="sqlite:///shop.sqlite", WTF_CSRF_ENABLED=True)
db = get_sqla_class()(app)

with app.app_context():
    appbuilder = AppBuilder(app, db.session)
    db.create_all()
    if not appbuilder.sm.find_user("ada"):
        appbuilder.sm.add_user("ada", "Ada", "L", "ada@shop.example", appbuilder.sm.find_role("Admin"), "secret")
