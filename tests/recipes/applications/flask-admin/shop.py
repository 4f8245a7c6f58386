"""An admin whose views are behind Flask-Login, as Flask-Admin's example *auth-flask-login* has it."""

import flask
import flask_admin
import flask_login
from flask_admin.contrib.sqla import ModelView
from flask_sqlalchemy import SQLAlchemy
from werkzeug.security import check_password_hash, generate_password_hash

app = flask.Flask(__name__)
app.config.update(SECRET_KEY="signs cookies", SQLALCHEMY_DATABASE_URI="sqlite:///shop.sqlite")
db = SQLAlchemy(app)
login_manager = flask_login.LoginManager(app)


class Customer(db.Model, flask_login.UserMixin):
    id = db.Column(db.Integer, primary_key=True)
    login = db.Column(db.String(80), unique=True)
    password = db.Column(db.String(200))


@login_manager.user_loader
def load_user(number):
    return db.session.get(Customer, number)


class CustomerView(ModelView):
    def is_accessible(self):
        return flask_login.current_user.is_authenticated


class IndexView(flask_admin.AdminIndexView):
    @flask_admin.expose("/login/", methods=("GET", "POST"))
    def login(self):
        if flask.request.method == "POST":
            found = db.session.query(Customer).filter_by(login=flask.request.form["login"]).first()
            if found and check_password_hash(found.password, flask.request.form["password"]):
                flask_login.login_user(found)
                return flask.redirect("/admin/customer/")
        return "<form method=post><input name=login><input name=password type=password></form>"

    @flask_admin.expose("/logout/")
    def logout(self):
        flask_login.logout_user()
        return flask.redirect("/admin/")


admin = flask_admin.Admin(app, index_view=IndexView())
admin.add_view(CustomerView(Customer, db, endpoint="customer"))

with app.app_context():
    db.create_all()
    if not db.session.query(Customer).count():
        db.session.add(Customer(login="ada", password=generate_password_hash("secret")))
        db.session.commit()
