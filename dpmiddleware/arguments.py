"""Checks the arguments of public functions and constructors against their annotations, where they are called.

A plain mistake (``sign_in("ada")``, ``ProtectedSessions(dp)``) ends in a `WrongTypeError` that names the argument and
says what to pass. Without a check it would end in an ``AttributeError`` elsewhere, often in another request. A number
is taken for a ``timedelta``, as seconds, and the texts of a ``Literal`` in any case (`dpmiddleware.annotations`).

`checked` takes microseconds per call, so what every request does is not decorated. There, `explain` finds the argument
that has caused an error.
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache, wraps
from typing import Any, Final, TypeVar, Unpack, cast, get_args, get_origin, get_type_hints

from dpmiddleware.annotations import WORDS, MisfitError, Usual, alternatives, example, fitted, in_words, lack, span
from dpmiddleware.errors import WrongTypeError
from dpmiddleware.names import nearest, refuse_unknown
from dpmiddleware.printable import printable
from dpmiddleware.tracebacks import hides_locals

__all__ = ["FOREIGN_NAMES", "checked", "explain", "seconds", "unchecked"]

FOREIGN_NAMES: Final = "_foreign_names"
"""An attribute of a class: what the users of another library pass to its constructor → what to pass here, as a hint."""

_T = TypeVar("_T")
_Checked = TypeVar("_Checked", bound=Callable[..., Any])


def checked(target: _Checked) -> _Checked:
    """Check the arguments of this function, or of the constructor of this class, in every call."""
    if isinstance(target, type):
        constructor: Any = target
        constructor.__init__ = hides_locals(checked(constructor.__init__))
        return cast("_Checked", constructor)

    @wraps(target)
    def call(*args: Any, **kwargs: Any) -> Any:
        if _is_usual(target, args, kwargs):
            return target(*args, **kwargs)
        is_constructor = target.__name__ == "__init__"
        name = type(args[0]).__name__ if is_constructor else target.__name__
        _refuse_unknown_options(target, kwargs, getattr(args[0], FOREIGN_NAMES, {}) if is_constructor and args else {})
        bound = _bound(target, name, args, kwargs)
        for argument, value in bound.arguments.items():
            bound.arguments[argument] = _argument(target, name, argument, value)
        return target(*bound.args, **bound.kwargs)

    return cast("_Checked", call)


def explain(function: Callable[..., Any], error: Exception, **values: object) -> Exception:
    """The error to raise instead of ``error``: about the first of these arguments that does not fit, if one does not.

    function: has these parameters. values: its arguments by name.
    """
    for argument, value in values.items():
        try:
            _argument(function, function.__qualname__.removesuffix(".__init__"), argument, value)
        except WrongTypeError as mistake:
            return mistake
    return error


def unchecked(cls: type[_T]) -> Callable[..., _T]:
    """A constructor for a class that is `checked`, for arguments that are known to fit."""
    initialize: Callable[..., None] = inspect.unwrap(cls.__init__)

    def make(*args: Any, **kwargs: Any) -> _T:
        made = object.__new__(cls)
        initialize(made, *args, **kwargs)
        return made

    return make


def seconds(time: timedelta | float) -> float:
    """The seconds of a time span; a number counts as seconds."""
    try:
        return span(time).total_seconds()
    except (TypeError, OverflowError, ValueError) as error:
        raise explain(seconds, error, time=time) from None


# --- a call ---------------------------------------------------------------------------------------------------


_VARIABLE: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_TYPES_OF_WSGI: Final[dict[str, Any]] = {"WSGIApplication": Callable}


class _Names(dict[str, Any]):
    """The names of a module; those that it imports only for type checkers stand for any type."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        return _TYPES_OF_WSGI.get(name, vars(builtins).get(name, Any))


def _is_usual(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether all arguments fit at first glance; most do."""
    names, required, usual = _usual_of(function)
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    if len(given) != len(args) + len(kwargs) or not required <= given.keys():
        return False
    return all(name in usual and usual[name].fits(value) for name, value in given.items())


@lru_cache(maxsize=256)
def _usual_of(function: Callable[..., Any]) -> tuple[list[str], set[str], dict[str, Usual]]:
    """The names of arguments without ``*`` and ``**``, those that are required, and what they usually are."""
    signature, hints = _described(function)
    single = [each for each in signature.parameters.values() if each.kind not in _VARIABLE]
    names = [each.name for each in single if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    required = {each.name for each in single if each.default is each.empty}
    return names, required, {each.name: Usual(hints.get(each.name, Any)) for each in single}


@lru_cache(maxsize=256)
def _described(function: Callable[..., Any]) -> tuple[inspect.Signature, dict[str, Any]]:
    function = inspect.unwrap(function)
    return inspect.signature(function), get_type_hints(function, localns=_Names(function.__globals__))


def _refuse_unknown_options(
    function: Callable[..., Any], kwargs: Mapping[str, Any], foreign: Mapping[str, str]
) -> None:
    """Before anything that is missing is reported: a misspelt argument is missing, too."""
    theirs = [name for name in kwargs if name in foreign]
    if theirs:
        raise WrongTypeError(f"the argument {theirs[0]!r} is unknown", hint=foreign[theirs[0]])
    signature, hints = _described(function)
    options = [each.name for each in signature.parameters.values() if each.kind is inspect.Parameter.VAR_KEYWORD]
    unpacked = hints.get(options[0]) if options else None
    if get_origin(unpacked) is Unpack:
        named = [name for name in _named(signature) if name not in options]
        refuse_unknown(kwargs, [*named, *get_type_hints(get_args(unpacked)[0])])


def _named(signature: inspect.Signature) -> list[str]:
    """The arguments that can be given by name."""
    return [each.name for each in signature.parameters.values() if each.name != "self" and each.kind not in _VARIABLE]


def _bound(
    function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> inspect.BoundArguments:
    signature = _described(function)[0]
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        known = _named(signature)
        unknown = [each for each in kwargs if each not in known]
        hint = nearest(unknown[0], known) if unknown else f"name the arguments: {', '.join(f'{k}=' for k in known)}"
        said = printable(error).replace("required keyword-only argument", "required argument")  # as before Python 3.12
        raise WrongTypeError(f"{name}() {said}", hint=hint) from None


def _argument(function: Callable[..., Any], name: str, argument: str, value: Any) -> Any:
    signature, hints = _described(function)
    hint, kind = hints.get(argument, Any), signature.parameters[argument].kind
    if kind is inspect.Parameter.VAR_POSITIONAL:
        return tuple(_value(function, name, argument, each, hint) for each in value)
    if kind is not inspect.Parameter.VAR_KEYWORD:
        return _value(function, name, argument, value, hint)
    if get_origin(hint) is not Unpack:
        return {each: _value(function, name, each, given, hint) for each, given in value.items()}
    options = get_type_hints(get_args(hint)[0])
    return {each: _value(function, name, each, given, options[each]) for each, given in value.items()}


def _value(function: Callable[..., Any], name: str, argument: str, value: Any, hint: Any) -> Any:
    try:
        return fitted(value, hint)
    except MisfitError:
        wanted = in_words(hint)
        raise WrongTypeError(
            f"{name}() takes {wanted} as {argument}, not {type(value).__name__}{lack(value, hint)}",
            hint=_other_place(function, argument, value) or f"pass {wanted}{example(hint)}",
        ) from None


def _other_place(function: Callable[..., Any], argument: str, value: Any) -> str:
    """The hint where a value fits another argument by its class: it was given without a name."""
    for other, hint in _described(function)[1].items():
        classes = [each for each in alternatives(hint) if isinstance(each, type) and each not in WORDS]
        if other not in {argument, "return"} and any(type(value) is each for each in classes):
            return f"pass it as {other}="
    return ""
