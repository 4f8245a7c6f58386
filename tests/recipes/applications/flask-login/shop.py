"""The quick start of Flask-Login, with a remember cookie."""

import flask
import flask_login

app = flask.Flask(__name__)
app.secret_key = "signs cookies"
login_manager = flask_login.LoginManager(app)


class User(flask_login.UserMixin):
    def __init__(self, name):
        self.id = name


@login_manager.user_loader
def load_user(name):
    return User(name)


@app.route("/login", methods=["GET", "POST"])
def login():
    if flask.request.method == "POST":
        flask_login.login_user(User(flask.request.form["name"]), remember=True)
        return flask.redirect("/account")
    return "<form method=post><input name=name></form>"


@app.get("/account")
@flask_login.login_required
def account():
    return f"hello {flask_login.current_user.id}"


@app.get("/logout")
def logout():
    flask_login.logout_user()
    return "goodbye"
