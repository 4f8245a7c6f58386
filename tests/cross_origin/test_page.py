"""docs/cross-origin.md lists every option with its default, every reason of a refusal, and what it says holds."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Final

import flask
import pytest
from flask_wtf import CSRFProtect, FlaskForm

from dpmiddleware.cross_origin import CrossOriginRules, decision
from dpmiddleware.cross_origin.decision import Verdict
from dpmiddleware.cross_origin.guard import CrossOriginGuard, CrossOriginOptions
from dpmiddleware.flask import CrossOriginProtection
from tests.cross_origin.shells import FOREIGN, OWN

PAGE: Final = (Path(__file__).parents[2] / "docs" / "cross-origin.md").read_text("utf-8")


def first_cells(heading: str) -> list[list[str]]:
    """The first two cells of each row of the tables under a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line.strip("| ").split(" | ")[:2] for line in section.splitlines() if line.startswith("| `")]


OPTIONS: Final = {name.strip("`"): default for name, default in first_cells("Options")}
REASONS: Final = [reason.strip("`") for reason, _ in first_cells("Rolling it out")]
WORDS: Final = {"none": (), "`False`": False, "`None`": None, '`"deny"`': "deny"}


def test_every_option_is_listed() -> None:
    assert set(OPTIONS) == set(CrossOriginOptions.__annotations__)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "strict"])
def test_the_defaults_are_those_of_the_code(name: str) -> None:
    parameters = {**inspect.signature(CrossOriginRules).parameters, **inspect.signature(CrossOriginGuard).parameters}
    assert WORDS[OPTIONS[name]] == parameters[name].default


def test_strict_follows_the_origins() -> None:
    disagreeing = {"sec-fetch-site": "same-origin", "origin": "https://other.example"}

    def verdict(strict: bool | None = None) -> bool:
        rules = CrossOriginRules(origins=["https://a.example"], strict=strict)
        return decision.decide("POST", "https", "a.example", disagreeing, rules=rules).allowed

    assert OPTIONS["strict"] == "`True` with `origins`, otherwise `False`"
    assert decision.decide("POST", "https", "a.example", disagreeing).allowed
    assert (verdict(), verdict(strict=False)) == (False, True)


def test_every_reason_of_a_refusal_is_listed() -> None:
    found: set[str] = set()
    for value in vars(decision).values():
        several = value.values() if isinstance(value, dict) else [value]
        found |= {each.reason for each in several if isinstance(each, Verdict) and not each.allowed}
    assert set(REASONS) == found
    assert len(REASONS) == len(found)


def test_the_tokens_of_flask_wtf_can_stay_or_be_left_out() -> None:
    class Order(FlaskForm):  # type: ignore[misc]  # the library has no types
        pass

    def shop(**config: bool) -> flask.Flask:
        app = flask.Flask("shop")
        app.config.update(SECRET_KEY="for Flask-WTF", **config)
        CSRFProtect(app)
        CrossOriginProtection(app)
        app.add_url_rule("/", "order", lambda: str(Order().validate_on_submit()), methods=["POST"])
        return app

    def posted(app: flask.Flask, headers: list[tuple[str, str]]) -> tuple[int, str]:
        told = app.test_client().post("/", headers=dict(headers), base_url="https://app.example")
        return told.status_code, told.text

    assert posted(shop(), OWN)[0] == 400, "the token is missing"
    assert posted(shop(), FOREIGN)[0] == 403
    without = shop(WTF_CSRF_CHECK_DEFAULT=False, WTF_CSRF_ENABLED=False)
    assert posted(without, OWN) == (200, "True")
    assert posted(without, FOREIGN)[0] == 403
