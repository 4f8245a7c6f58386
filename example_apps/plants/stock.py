"""The plants on sale, and the customers. Prices are in pence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

from werkzeug.security import check_password_hash, generate_password_hash

from dpmiddleware.wsgi import Claim, ClaimTypes, Identity, Principal

__all__ = ["PLANTS", "Leaf", "Line", "Plant", "changed_basket", "customer", "lines"]

_MOST_OF_ONE: Final = 20
_ROOT: Final = 132
"""Where the leaves begin in a drawing of 200 by 200."""
_GROUPS: Final = 180
"""How many groups grace is in. A ticket with that many claims takes several cookies."""


class Leaf(NamedTuple):
    """One leaf of a drawing: an SVG path, its angle from the vertical (degrees), and its lightness (0 to 100)."""

    path: str
    angle: float
    light: int


@dataclass(frozen=True, slots=True)
class Plant:
    """A plant on sale, and how it is drawn: number, length and width of the leaves, and their spread in degrees."""

    id: str
    name: str
    latin: str
    price: int
    leaf_count: int
    length: int
    width: int
    spread: int
    hue: int

    @property
    def leaves(self) -> list[Leaf]:
        """The leaves in drawing order, the outer ones first. Every second one is shorter and darker."""
        drawn = []
        for number in range(self.leaf_count):
            angle = self.spread * (number / (self.leaf_count - 1) - 0.5)
            long = self.length * (1 if number % 2 else 0.82)
            drawn.append(Leaf(_leaf(long, self.width), round(angle, 1), 38 if number % 2 else 30))
        return sorted(drawn, key=lambda leaf: -abs(leaf.angle))


def _leaf(length: float, width: float) -> str:
    top, low, high = _ROOT - length, _ROOT - 0.3 * length, _ROOT - 0.78 * length
    left, right = 100 - width, 100 + width
    return (
        f"M100 {_ROOT}C{left} {low:.0f} {left} {high:.0f} 100 {top:.0f}C{right} {high:.0f} {right} {low:.0f} 100 132Z"
    )


PLANTS: Final = (
    Plant("fern", "Maidenhair fern", "Adiantum raddianum", 1450, 15, 92, 9, 170, 120),
    Plant("monstera", "Cheese plant", "Monstera deliciosa", 3200, 7, 98, 30, 150, 148),
    Plant("snake", "Snake plant", "Dracaena trifasciata", 1900, 7, 116, 11, 44, 95),
    Plant("pilea", "Missionary plant", "Pilea peperomioides", 1275, 9, 74, 25, 190, 135),
    Plant("aloe", "Aloe", "Aloe vera", 1100, 11, 84, 13, 128, 165),
    Plant("palm", "Parlour palm", "Chamaedorea elegans", 2450, 19, 108, 6, 140, 108),
)

_BY_ID: Final = {plant.id: plant for plant in PLANTS}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the basket."""

    plant: Plant
    count: int

    @property
    def price(self) -> int:
        """The price of the whole line, in pence."""
        return self.plant.price * self.count


def lines(basket: Mapping[str, int]) -> list[Line]:
    """The lines of a basket (plant id → count, as stored in the session)."""
    return [Line(_BY_ID[each], count) for each, count in basket.items() if each in _BY_ID]


def changed_basket(basket: Mapping[str, int], plant: str, by: int) -> dict[str, int]:
    """The basket with ``by`` more of a plant. An unknown plant changes nothing."""
    counts = dict(basket)
    if plant in _BY_ID:
        counts[plant] = min(counts.get(plant, 0) + by, _MOST_OF_ONE)
    return {each: count for each, count in counts.items() if count > 0}


# --- customers ----------------------------------------------------------------------------------------------


@cache
def _password_hashes() -> dict[str, str]:
    return {"ada": generate_password_hash("analytical"), "grace": generate_password_hash("compiler")}


def customer(name: str, password: str) -> Principal | None:
    """The customer with this name and password, or ``None``. An application would ask its database."""
    if not check_password_hash(_password_hashes().get(name, ""), password):
        return None
    claims = [Claim(ClaimTypes.NAME_IDENTIFIER, name), Claim(ClaimTypes.NAME, name), Claim(ClaimTypes.ROLE, "customer")]
    if name == "grace":
        claims += [Claim("groups", f"greenhouse-{number:03}/visitors") for number in range(_GROUPS)]
    return Principal(identities=[Identity(tuple(claims), authentication_type="Cookies")])
