"""The quick start of Flask-Security with Flask-SQLAlchemy."""

from flask import Flask
from flask_security import Security, SQLAlchemyUserDatastore, auth_required, current_user, hash_password
from flask_security.models import fsqla_v3
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config.update(
    SECRET_KEY="signs cookies",
    SECURITY_PASSWORD_SALT="146585145368132386173505678016728509634",
    SECURITY_PASSWORD_HASH="pbkdf2_sha512",
    SECURITY_DEFAULT_REMEMBER_ME=True,
    SQLALCHEMY_DATABASE_URI="sqlite:///shop.sqlite",
)
db = SQLAlchemy(app)
fsqla_v3.FsModels.set_db_info(db)


class Role(db.Model, fsqla_v3.FsRoleMixin):
    pass


class User(db.Model, fsqla_v3.FsUserMixin):
    pass


app.security = Security(app, SQLAlchemyUserDatastore(db, User, Role))


@app.get("/account")
@auth_required()
def account():
    return f"hello {current_user.email}"


with app.app_context():
    db.create_all()
    if not app.security.datastore.find_user(email="ada@shop.example"):
        app.security.datastore.create_user(email="ada@shop.example", password=hash_password("apples and pears"))
        db.session.commit()
