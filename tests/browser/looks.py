"""How a page looks: the screens and colour schemes of the tests, and what is hard to read on it.

`hard_to_read` measures in the browser what WCAG 2 asks of level AA (criterion 1.4.3): text has at least 4.5 times the
luminance of what is behind it, or the reverse; large text 3 times. A gradient counts as the colour below it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

SCHEMES = ("light", "dark")


class Screen(NamedTuple):
    """Its size in CSS pixels, and whether it is touched."""

    width: int
    height: int
    touch: bool


SCREENS = {"desktop": Screen(1280, 800, touch=False), "phone": Screen(390, 844, touch=True)}

_HARD_TO_READ = """() => {
  const dot = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    dot.clearRect(0, 0, 1, 1);
    dot.fillStyle = colour;
    dot.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = dot.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const behind = (element) => {
    const below = element.parentElement ? behind(element.parentElement) : [255, 255, 255, 1];
    return over(rgba(getComputedStyle(element).backgroundColor), below);
  };
  const opacity = (element) =>
    element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1;
  const luminance = (colour) => {
    const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    const [red, green, blue] = colour.map((part) => linear(part / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.data.trim();
    if (!text || !element.checkVisibility() || element.closest("script, style")) continue;
    const style = getComputedStyle(element);
    const ground = behind(element);
    const [red, green, blue, alpha] = rgba(style.color);
    const shown = over([red, green, blue, alpha * opacity(element)], ground);
    const [dark, light] = [shown, ground].map(luminance).sort((a, b) => a - b);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""

_CUT_OFF = """() => [...document.querySelectorAll("body *")].filter((element) => {
  const around = element.parentElement;
  const outside = element.getBoundingClientRect().right - around.getBoundingClientRect().right;
  return outside > 1 && getComputedStyle(around).overflowX === "visible" && !element.closest("svg");
}).map((element) => `${element.localName} in ${element.parentElement.localName}: ${element.textContent}`)"""


def profile(screen: str, scheme: str, *, scripts: bool = True) -> dict[str, Any]:
    """The arguments of ``new_context`` for such a browser."""
    width, height, touch = SCREENS[screen]
    return {
        "viewport": {"width": width, "height": height},
        "has_touch": touch,
        "is_mobile": touch,
        "color_scheme": scheme,
        "java_script_enabled": scripts,
    }


def hard_to_read(page: Any) -> list[str]:
    """The texts of a page or a frame without enough contrast, with their ratios."""
    found: list[str] = page.evaluate(_HARD_TO_READ)
    return found


def cut_off(page: Any) -> list[str]:
    """The elements of a page or a frame that stick out of what they are in to the right, and cannot be scrolled to."""
    found: list[str] = page.evaluate(_CUT_OFF)
    return found


def is_dark(page: Any) -> bool:
    """Whether its ground is dark."""
    ground: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return all(int(part) < 64 for part in ground.removeprefix("rgb(").rstrip(")").split(","))
