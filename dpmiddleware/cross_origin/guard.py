"""`CrossOriginGuard`: what every shell does with a verdict. It logs, counts, and says whether to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypedDict, TypeVar, Unpack

from dpmiddleware import telemetry
from dpmiddleware.arguments import checked
from dpmiddleware.cross_origin.decision import EXEMPT, SAME_ORIGIN, CrossOriginRules, Verdict, decide
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.names import refuse_unknown
from dpmiddleware.naming import CROSS_ORIGIN, Naming, written_as
from dpmiddleware.printable import printable
from dpmiddleware.web.answer import Answer

__all__ = [
    "REFUSAL",
    "CrossOriginGuard",
    "CrossOriginOptions",
    "check_rules",
    "from_setting",
    "guard_of",
    "unambiguous",
]

_Request = TypeVar("_Request")
_BODY: Final = b"This request was refused, because it does not come from a page of this site.\n"
REFUSAL: Final = Answer(
    [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", str(len(_BODY))),
        ("cache-control", "no-store"),
        ("vary", "Sec-Fetch-Site, Origin"),
        ("x-content-type-options", "nosniff"),
    ],
    status=403,
    body=_BODY,
)
"""What is sent in place of a page. A script in it that reloads would repeat the POST, as one of the own origin."""
_SHOWN: Final = 100
"""Characters of a header in a log line."""


class RuleOptions(TypedDict, total=False):
    """The options of `dpmiddleware.cross_origin.decision.CrossOriginRules`."""

    origins: Iterable[str]
    trusted_origins: Iterable[str]
    exempt: Iterable[str]
    same_site: Literal["deny", "allow"]
    require_headers: bool | Literal["cookies"]
    strict: bool | None


class CrossOriginOptions(RuleOptions, total=False):
    """The options of cross-origin protection, the same in every shell.

    report_only: log and count what would be refused, and refuse nothing.
    on_refused: a function of the request and the `Verdict`, which returns the response; ``None``: the default one. It
    is not called for websockets.
    """

    report_only: bool
    on_refused: Callable[..., Any] | None


@checked
class CrossOriginGuard:
    """The rules of one application, and what to do with those who break them.

    Options: see `CrossOriginOptions`.
    """

    def __init__(
        self,
        *,
        report_only: bool = False,
        on_refused: Callable[..., Any] | None = None,
        **options: Unpack[RuleOptions],
    ) -> None:
        self.rules = CrossOriginRules(**options)
        self.on_refused = on_refused
        self._report_only = report_only
        self._has_told = False
        for origin in sorted(self.rules.trusted):
            if origin.startswith("http:"):
                telemetry.emit(
                    "insecure_origin_trusted", "warning", "an origin without TLS may act as the user", origin=origin
                )

    def judge(  # noqa: PLR0917 (the facts about a request)
        self,
        method: str,
        scheme: str,
        host: str,
        headers: Mapping[str, str],
        request: _Request,
        path_of: Callable[[_Request], str],
        is_exempt: Callable[[_Request], bool],
        websocket: bool,
    ) -> Verdict:
        """The verdict to obey: where only reports are wanted, all are allowed. Other arguments: see `decide`.

        request: as the framework has it.
        path_of: the decoded path of a request. is_exempt: whether its route has a mark. Both are called only where they
        decide.
        """
        rules = self.rules
        path = path_of(request) if rules.has_exempt_paths else ""
        verdict = decide(method, scheme, host, headers, path, websocket, rules=rules)
        if verdict is SAME_ORIGIN:
            return verdict
        if verdict.allowed:
            if verdict.reason == "headers_disagree" and not self._has_told:
                self._tell_of_disagreement(host, headers)
            return verdict
        if is_exempt(request):
            return EXEMPT
        telemetry.emit(
            "cross_origin_refused",
            "warning",
            "would be refused, but report_only is set" if self._report_only else "a request of another origin",
            reason=verdict.reason,
            method=printable(method, 20),
            site=_shown(headers, "sec-fetch-site"),
            origin=_shown(headers, "origin"),
            path=path_of(request),
        )
        return verdict._replace(allowed=True) if self._report_only else verdict

    def _tell_of_disagreement(self, host: str, headers: Mapping[str, str]) -> None:
        self._has_told = True
        telemetry.emit(
            "cross_origin_disagreement",
            "warning",
            "the browser says same-origin, and Origin is not what Host says",
            host=printable(host, _SHOWN),
            origin=_shown(headers, "origin"),
        )


def _shown(headers: Mapping[str, str], name: str) -> str:
    return printable(headers.get(name, ""), _SHOWN)


def check_rules(options: CrossOriginOptions) -> None:
    """`ConfigurationError` if the rules among these options are wrong."""
    rules: dict[str, Any] = {name: value for name, value in options.items() if name in RuleOptions.__annotations__}
    CrossOriginRules(**rules)


def unambiguous(sent: str, decoded: str) -> str:
    """A decoded path; if the client had encoded a part of it, what was sent, which is never exempt.

    Servers in front of this one, and this one, may see different paths in it.
    """
    sent = sent.partition("?")[0]
    return sent if "%" in sent else decoded


def from_setting(setting: object, arguments: CrossOriginOptions, more: Iterable[str] = ()) -> dict[str, Any]:
    """The options of a setting of a framework together with those of a call. What both give is refused.

    more: names that this framework has besides `CrossOriginOptions`.
    """
    if not isinstance(setting, Mapping):
        raise ConfigurationError(
            f"{CROSS_ORIGIN} is not a mapping: it is of the type {type(setting).__name__}",
            hint=f'set {CROSS_ORIGIN} = {{"trusted_origins": ["https://login.example"]}}, or remove it',
        )
    refuse_unknown(setting, [*CrossOriginOptions.__annotations__, *more])
    twice = [name for name in setting if name in arguments]
    if twice:
        raise ConfigurationError(
            f"{twice[0]} is given in {CROSS_ORIGIN} and in the call", hint="give it in one of the two"
        )
    return {**setting, **arguments}


_NAMES: Final = Naming(lambda name: f'{CROSS_ORIGIN}["{name}"]')


def guard_of(setting: object, arguments: CrossOriginOptions) -> CrossOriginGuard:
    """The guard for a setting of a framework and the arguments of a call. Errors name what was written."""
    options = from_setting(setting, arguments)
    with written_as([name for name in options if name not in arguments], _NAMES):
        return CrossOriginGuard(**options)
