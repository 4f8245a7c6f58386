"""Work grows with the length of foreign text, not with its square.

Each regular expression of the package is run as the package runs it, on text pumped from its own parts: twice the text
may not take four times as long. No assertion is about seconds: times are of this thread's processor, compared with each
other, and measured again before a growth counts as too fast.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import dpmiddleware
from dpmiddleware.errors import DataProtectionError
from dpmiddleware.instants import Instant
from dpmiddleware.printable import printable, without_password, without_secrets
from dpmiddleware.protection import base64url
from dpmiddleware.web.cookies.http_dates import read_http_date
from dpmiddleware.web.cookies.names import Names
from dpmiddleware.web.cookies.text import find

PACKAGE = Path(dpmiddleware.__file__).parent
METHODS = {"match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}

MEASURABLE = 0.004
"""Seconds of processor time below which a time says nothing."""
LENGTHS = (*range(4, 32, 4), 32, 256, 1024, 4096)
"""In small steps first: a pattern may also take exponential time."""
LINEAR = 3.0
"""Growth for twice the text: 2 is linear, 4 quadratic."""


def seconds(work: Callable[[str], object], text: str, times: int = 1) -> float:
    """Processor time of this thread for one run; the best of several."""
    best = float("inf")
    for _ in range(times):
        began = time.thread_time()
        work(text)
        best = min(best, time.thread_time() - began)
    return best


def growth(work: Callable[[str], object], pump: Callable[[int], str]) -> float:
    """How many times longer ``work`` takes for twice the text, at the first length that takes measurable time."""
    for length in LENGTHS:
        if seconds(work, pump(length)) > MEASURABLE:
            return min(_ratio(work, pump, length) for _ in range(3))
    return 1.0


def _ratio(work: Callable[[str], object], pump: Callable[[int], str], length: int) -> float:
    half = max(seconds(work, pump(length // 2), 3), MEASURABLE / 16)
    return seconds(work, pump(length), 3) / half


# --- patterns ---------------------------------------------------------------------------------------------------------


class Use(NamedTuple):
    """A pattern and what the package calls it with."""

    where: str
    pattern: re.Pattern[Any]
    method: str


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("dpmiddleware", *path.relative_to(PACKAGE).with_suffix("").parts)
        name = ".".join(part for part in parts if part not in {"__init__", "__main__"})
        yield name, ast.parse(path.read_text("utf-8"))


def evaluated(node: ast.expr, name: str) -> Any:
    """The value of an expression of module ``name``. A pattern that is put together inside a function is an error."""
    module = importlib.import_module(name)
    return eval(compile(ast.Expression(node), name, "eval"), vars(module))  # noqa: S307


def uses_in(name: str, tree: ast.Module) -> Iterator[tuple[ast.Call, re.Pattern[Any], str]]:
    """Calls of ``re`` and of patterns, with the pattern and the method."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if not isinstance(call.func, ast.Attribute):
            continue
        method, owner = call.func.attr, call.func.value
        if isinstance(owner, ast.Name) and owner.id == "re" and method in METHODS:
            flags = next((word.value for word in call.keywords if word.arg == "flags"), None)
            position = {"sub": 4, "subn": 4, "split": 3}.get(method, 2)
            flags = call.args[position] if flags is None and len(call.args) > position else flags
            wanted = evaluated(flags, name) if flags is not None else 0
            pattern = evaluated(call.args[0], name)
            yield call, pattern if isinstance(pattern, re.Pattern) else re.compile(pattern, wanted), method
        elif method in METHODS and isinstance(owner, (ast.Name, ast.Attribute)):
            with suppress(NameError, AttributeError):
                found = evaluated(owner, name)
                if isinstance(found, re.Pattern):
                    yield call, found, method


def found_uses() -> Iterator[Use]:
    for name, tree in modules():
        if "re." in ast.unparse(tree):
            for call, pattern, method in uses_in(name, tree):
                yield Use(f"{name.removeprefix('dpmiddleware.')}:{call.lineno}", pattern, method)


def compiled_patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Each ``re.compile`` of the package."""
    for name, tree in modules():
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "re.compile" and name not in PUT_TOGETHER:
                yield name, re.compile(*(evaluated(argument, name) for argument in call.args))


USES = list(found_uses())
PUT_TOGETHER = {"dpmiddleware.web.cookies.names"}
"""Where a pattern is made of an application's own words; it is among the functions below."""


def test_every_pattern_of_the_package_is_found_in_use() -> None:
    """A new pattern is timed without being listed anywhere."""
    used = {(use.pattern.pattern, use.pattern.flags) for use in USES}
    unused = [(name, pattern) for name, pattern in compiled_patterns() if (pattern.pattern, pattern.flags) not in used]
    assert not unused, "used in a way that this test does not see, or not at all"
    assert len(USES) > 40


def text_of(start: str, unit: str, end: str) -> Callable[[int], str]:
    """A text that is pumped up to a length."""
    return lambda length: start + (unit * (length // len(unit) + 1))[:length] + end


SAMPLES = " \t\n\"'<>&;:/@?=.,-+_%!#*(){}[]\\$aAfF019zé\0\x7f"


def takes(item: tuple[Any, Any], character: str) -> bool:
    """Whether an item of a parsed pattern that stands for one character matches this one."""
    kind, value = item
    match str(kind):
        case "LITERAL":
            return chr(value) == character
        case "NOT_LITERAL":
            return chr(value) != character
        case "RANGE":
            return ord(character) in range(value[0], value[1] + 1)
        case "CATEGORY":
            space, digit = character.isspace(), character.isdigit()
            word = character.isalnum() or character == "_"
            found = {"SPACE": space, "DIGIT": digit, "WORD": word}[str(value).rpartition("_")[2]]
            return found != ("_NOT_" in str(value))
        case "IN":
            negated = str(value[0][0]) == "NEGATE"
            return any(takes(part, character) for part in value if str(part[0]) != "NEGATE") != negated
        case _:
            return str(kind) == "ANY"


def parts_of(item: tuple[Any, Any]) -> list[list[tuple[Any, Any]]]:
    """The alternatives inside an item; none: it stands for one character, or for a place."""
    kind, value = str(item[0]), item[1]
    if "REPEAT" in kind:
        return [list(value[2])]
    if kind == "SUBPATTERN":
        return [list(value[3])]
    if kind == "BRANCH":
        return [list(branch) for branch in value[1]]
    return []


def example(items: list[tuple[Any, Any]]) -> str:
    """A text that items match, one round of each repetition."""
    text = ""
    for item in items:
        parts = parts_of(item)
        if parts:
            text += example(parts[0]) * max(1, item[1][0] if "REPEAT" in str(item[0]) else 1)
        else:
            text += next((character for character in _samples(item) if takes(item, character)), "")
    return text


def _samples(item: tuple[Any, Any]) -> str:
    return chr(item[1]) if str(item[0]) == "LITERAL" else "aA0" + SAMPLES


def busy(items: list[tuple[Any, Any]], before: str = "") -> Iterator[tuple[str, str]]:
    """For each repetition of a pattern: a text that leads to it, and texts that keep it busy."""
    for item in items:
        if "REPEAT" in str(item[0]):
            body = list(item[1][2])
            yield before, example(body)
            yield from ((before, character) for character in SAMPLES if len(body) == 1 and takes(body[0], character))
            yield "", before + example(body)
        for part in parts_of(item):
            yield from busy(part, before)
        before += example([item])
    yield "", before


def pumps_for(pattern: re.Pattern[Any]) -> Iterator[Callable[[int], str]]:
    """Texts of any length that the parts of a pattern could be busy with."""
    source = pattern.pattern.decode("latin-1") if isinstance(pattern.pattern, bytes) else pattern.pattern
    parsed = list(re._parser.parse(source, pattern.flags & ~re.UNICODE))  # type: ignore[attr-defined]
    for start, unit in dict.fromkeys(busy(parsed)):
        for end in ("\0", "", "\n"):
            if unit:
                yield text_of(start, unit, end)


def as_used(use: Use) -> Callable[[str], object]:
    is_bytes = isinstance(use.pattern.pattern, bytes)
    method = getattr(use.pattern, use.method)

    def work(text: str) -> object:
        subject = text.encode("latin-1", "replace") if is_bytes else text
        if use.method in {"sub", "subn"}:
            return method(lambda match: match[0], subject)
        result = method(subject)
        return list(result) if use.method == "finditer" else result

    return work


def worst(work: Callable[[str], object], pumps: Iterable[Callable[[int], str]]) -> tuple[float, str]:
    """The largest growth, or the first that is too large, and the beginning of its text."""
    largest = (1.0, "")
    for pump in pumps:
        largest = max(largest, (growth(work, pump), pump(12)))
        if largest[0] >= LINEAR:
            break
    return largest


def named(use: Use) -> str:
    return f"{use.where} {use.method}"


@pytest.mark.parametrize("use", USES, ids=named)
def test_a_pattern_takes_time_in_proportion_to_the_text(use: Use) -> None:
    """80 KB of one letter in a message took ``dpm`` 8.5 s, 64 KB of blanks in a document 33 s."""
    ratio, text = worst(as_used(use), pumps_for(use.pattern))
    assert ratio < LINEAR, f"{use.pattern.pattern!r}.{use.method} grows {ratio:.1f} times on {text!r}…"


BAD = {
    "two adjacent quantifiers": (r"\s*\s*x", "fullmatch"),
    "an unanchored run": (r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]*", "sub"),
    "words within a run": (r"(?:^|[&;])[^=&;]*(?:password|pwd)[^=&;]*=", "sub"),
    "nested": (r"(a+)+$", "match"),
    "an end that never comes": (r"-----BEGIN [A-Z0-9 ]+-----.*?-----END [A-Z0-9 ]+-----", "findall"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_pattern_that_takes_quadratic_time_is_noticed(name: str) -> None:
    source, method = BAD[name]
    use = Use("", re.compile(source), method)
    assert worst(as_used(use), pumps_for(use.pattern))[0] >= LINEAR


@pytest.mark.parametrize("source", [r"[0-9a-f]{64}", r"[A-Za-z][A-Za-z0-9]*", r"(?:[0-9A-Fa-f]{2})+", r"a*b*"])
def test_a_pattern_that_takes_linear_time_is_not_blamed(source: str) -> None:
    use = Use("", re.compile(source), "fullmatch")
    assert worst(as_used(use), pumps_for(use.pattern))[0] < LINEAR


# --- functions --------------------------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Callable[[str], object]] = {
    "printable": printable,
    "printable, all of it": lambda text: printable(text, len(text)),
    "without_password": without_password,
    "without_secrets": without_secrets,
    "base64url.decode": base64url.decode,
    "Instant.parse": Instant.parse,
    "read_http_date": read_http_date,
    "names of sealed cookies": Names(["*a*a*a*b", "auth*", "s*id*"]).match,
    "cookies": lambda text: find(text.encode("utf-8", "replace"), "session"),
}
UNITS = ("a", " ", "\n", "\x1b", "é", "/", ":", "@", "?", "#", "&", "=", ";", "'", '"', ".", "-", "_", "0", "%", "[")
WORDS = ("pwd", "password=", "a:", "a:/", "a://", "u:p@", "?x=", "?x=a://u:p@", "&x=", "a=b; ", "session=a; ", "CfDJ8")


def pumped(units: Iterable[str]) -> Iterator[Callable[[int], str]]:
    for unit, start in itertools.product(units, ("", "a://u:p@h?")):
        yield text_of(start, unit, "")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_time_in_proportion_to_foreign_text(name: str) -> None:
    def work(text: str) -> None:
        with suppress(DataProtectionError, ValueError):
            FUNCTIONS[name](text)

    pairs = (one + other for one, other in itertools.product(WORDS, (*UNITS, *WORDS)))
    ratio, text = worst(work, pumped((*UNITS, *WORDS, *pairs)))
    assert ratio < LINEAR, f"{name} grows {ratio:.1f} times on {text!r}…"
