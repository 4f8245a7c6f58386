"""Text from a store, a client or a URL, made safe to show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware.printable import printable, without_password, without_secrets


@given(st.text(max_size=300))
def test_what_is_printed_is_one_line_of_visible_characters(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) <= 200


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("é✓", "é✓"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
        ("\x00", "\\x00"),
        ("\u2028", "\\u2028"),
        (None, "None"),
        (b"\xff", "b'\\xff'"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: object, shown: str) -> None:
    """A revocation's reason cannot rewrite a terminal, a cookie's name cannot forge a log line."""
    assert printable(text) == shown


def test_what_is_long_is_cut_and_says_so() -> None:
    assert printable("x" * 200) == "x" * 200
    assert printable("x" * 201) == "x" * 199 + "…"
    assert len(printable("\n" * 1_000_000, 50)) == 50


PASSWORD = "hunter2"  # what must not be seen
URLS = [
    pytest.param(f"redis://:{PASSWORD}@host/0", "redis://:***@host/0", id="no user"),
    pytest.param(f"redis://user:{PASSWORD}@host:6379/0", "redis://user:***@host:6379/0", id="a user"),
    pytest.param(
        f"postgresql+psycopg://u:{PASSWORD}@host/shop", "postgresql+psycopg://u:***@host/shop", id="a dialect"
    ),
    pytest.param(f"redis://u:a@{PASSWORD}@host", "redis://u:***@host", id="an @ in it"),
    pytest.param(f"redis://u:a:{PASSWORD}@host", "redis://u:***@host", id="a colon in it"),
    pytest.param(f"redis://u:a/{PASSWORD}@host/0", None, id="a slash in it, not escaped"),
    pytest.param(f"redis://u:1/{PASSWORD}@host/0", None, id="a number and a slash"),
    pytest.param(f"redis://u:a?{PASSWORD}@host/0", None, id="a question mark in it"),
    pytest.param(f"redis://u:{PASSWORD}#x@host/0", None, id="a hash in it"),
    pytest.param(f"redis://:{PASSWORD}/x@host/0", None, id="no user, a slash behind"),
    pytest.param(f"redis://u:a@b/{PASSWORD}@host/0", None, id="an @ and a slash in it"),
    pytest.param(f"redis://u:{PASSWORD}", None, id="the host forgotten"),
    pytest.param(f"redis://u:{PASSWORD}:12", None, id="the host forgotten, a colon and digits behind"),
    pytest.param(f"redis://u:12,{PASSWORD}", None, id="the host forgotten, digits and a comma before"),
    pytest.param(f"redis://u:{PASSWORD}@host/0?x=a@b", "redis://u:***@host/0?x=a@b", id="an @ in the query"),
    pytest.param(f"x509:///k.pfx?password={PASSWORD}", "x509:///k.pfx?password=***", id="a parameter"),
    pytest.param(f"x509:///k.pfx?a=1&PASSWORD={PASSWORD}&b=2", "x509:///k.pfx?a=1&PASSWORD=***&b=2", id="of several"),
    pytest.param(f"azblob://a/c/b?sig={PASSWORD}", "azblob://a/c/b?sig=***", id="a signature"),
    pytest.param(f"s3://b/k?secret_key={PASSWORD}", "s3://b/k?secret_key=***", id="a secret"),
    pytest.param(f"openbao://h/t/k?token={PASSWORD}", "openbao://h/t/k?token=***", id="a token"),
    pytest.param(f"mssql://h/db?pwd={PASSWORD};x=1", "mssql://h/db?pwd=***;x=1", id="by semicolons"),
]


@pytest.mark.parametrize(("url", "shown"), URLS)
def test_a_password_is_never_shown(url: str, shown: str | None) -> None:
    assert PASSWORD not in without_password(url)
    assert shown is None or without_password(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://host:6379/0", "/var/lib/shop/keys", "file:///srv/a@b/keys", "s3://bucket/a@b:c", "memory:",
        "C:\\keys", "redis://[::1]:6379/0", "unix:///run/redis.sock", "x509:///etc/keys.pem",
    ],
)  # fmt: skip
def test_what_has_no_password_is_shown_as_it_is(url: str) -> None:
    assert without_password(url).lower() == url.lower()


@given(st.text(max_size=100))
def test_any_text_can_be_asked(text: str) -> None:
    assert without_password(text).isprintable()


SHAPES = [
    "sqlite:////var/lib/shop/keys.db",
    "sqlite:///keys.db",
    "sqlite://",
    "sqlite:////C:/keys.db",
    "sqlite:///C:\\keys.db",
    "sqlite:///keys.db?mode=ro&uri=true",
    "file:///var/keys",
    "file://localhost/var/keys",
    "redis:///0",
    "redis://host",
    "rediss://host:6380/1?ssl_cert_reqs=required",
    "unix:///run/redis.sock?db=1",
    "postgresql:///shop?host=/run/postgresql",
    "postgresql+psycopg://h1:5432,h2:5432/shop",
    "mysql+pymysql://h/shop?charset=utf8mb4",
    "oracle+oracledb://h:1521/?service_name=shop",
    "azblob://account/container/blob",
    "s3://bucket/key?endpoint=https://s3.example",
    "registry://HKLM/SOFTWARE/x",
    "django:default",
    "memory:",
    "x509:///etc/keys.pem",
    "x509:etc/keys.pem",
    "secret:env:NAME",
    "awskms:///arn:aws:kms:eu-central-1:1:key/ab",
    "openbao:///transit/key?endpoint=http://127.0.0.1:8200",
    "dpapi:machine",
    "relative/folder",
    "./a//b",
    "//server/share/keys",
    "\\\\server\\share\\keys",
]


@pytest.mark.parametrize("url", SHAPES)
def test_a_location_without_a_password_keeps_its_shape(url: str) -> None:
    """``sqlite:////var/keys.db`` lost a slash, and named another file."""
    assert without_password(url) == url


@pytest.mark.parametrize("url", SHAPES)
def test_a_location_in_a_message_keeps_its_shape(url: str) -> None:
    assert without_secrets(f"cannot read {url}: no such file") == f"cannot read {url}: no such file"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite+pysqlcipher://:{}@//var/keys.db?cipher=aes", "sqlite+pysqlcipher://:***@//var/keys.db?cipher=aes"),
        ("sqlite+pysqlcipher://:{}@/keys.db", "sqlite+pysqlcipher://:***@/keys.db"),
        ("redis:/user:{}@host/0", "redis:/user:***@host/0"),
        ("redis:user:{}@host/0", "redis:user:***@host/0"),
        ("unix://user:{}@/run/redis.sock", "unix://user:***@/run/redis.sock"),
        ("openbao:///t/k?endpoint=http://u:{}@h", "openbao:///t/k?endpoint=http://u:***@h"),
        ("openbao:///t/k?endpoint=http%3A%2F%2Fu%3A{}%40h", "openbao:///t/k?endpoint=http://u:***@h"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3D{}%3BUID%3Du", "mssql+pyodbc:///?odbc_connect=***"),
        ("a://h?x=b://h?x=c://u:{}@h", None),
    ],
)
def test_a_password_is_hidden_and_the_rest_keeps_its_shape(url: str, shown: str | None) -> None:
    hidden = without_password(url.format(PASSWORD))
    assert PASSWORD not in hidden
    assert shown is None or hidden == shown
    assert PASSWORD not in without_secrets(f"location={url.format(PASSWORD)}, refused")


@pytest.mark.parametrize("url", ["redis://[bad", "http://[::1", "//[", "redis://u:p@[x/0"])
def test_what_is_no_url_is_not_repeated(url: str) -> None:
    assert without_password(url) == "(unreadable URL)"
