"""What a release may change about a cookie: the settings before and after. All that makes it another cookie."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["CHANGES"]

_ACROSS_SITES: Final[dict[str, Any]] = {"secure": "always", "same_site": "none"}
_PARTITIONED: Final[dict[str, Any]] = {**_ACROSS_SITES, "partitioned": True}

CHANGES: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "domain-added": {"old": {}, "new": {"domain": "shop.example"}},
    "domain-dropped": {"old": {"domain": "shop.example"}, "new": {}},
    "domain-widened": {"old": {"domain": "www.shop.example"}, "new": {"domain": "shop.example"}},
    "path-widened": {"old": {"path": "/app"}, "new": {"path": "/"}},
    "path-narrowed": {"old": {"path": "/"}, "new": {"path": "/app"}},
    "path-with-slash": {"old": {"path": "/app/"}, "new": {"path": "/app"}},
    "partitioned": {"old": _ACROSS_SITES, "new": _PARTITIONED},
    "not-partitioned": {"old": _PARTITIONED, "new": _ACROSS_SITES},
    "everything": {"old": {}, "new": {**_PARTITIONED, "domain": "shop.example", "path": "/app"}},
}
