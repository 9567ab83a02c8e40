"""Badges: a small SVG for each engine, that names the levels it may claim. There is no number between them."""

from __future__ import annotations

from html import escape
from typing import Final

from dvidkit_conformance import spec
from dvidkit_conformance.outcome import EngineReport

_LABEL: Final = "dvidkit"
_WIDTH: Final = 6.6
_GREEN: Final = "#1a7f37"
_RED: Final = "#c62828"
_GREY: Final = "#6a6a6a"


def render(engine: EngineReport) -> str:
    """The badge as SVG."""
    text, colour = said(engine)
    left, right = (round(len(part) * _WIDTH) + 14 for part in (_LABEL, text))
    title = escape(f"{engine.engine} {engine.version}: {text} (dvidkit conformance, spec {spec.VERSION})")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{title}">'
        f'<title>{title}</title><rect width="{left + right}" height="20" rx="3" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" rx="3" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2}" y="14">{_LABEL}</text>'
        f'<text x="{left + right / 2}" y="14">{escape(text)}</text></g></svg>\n'
    )


def said(engine: EngineReport) -> tuple[str, str]:
    """What the badge says, and its colour."""
    if not engine.conformant:
        return "not conformant", _RED
    if not engine.levels:
        return "no level claimed", _GREY
    deviations = sum(result.status == "deviation" for result in engine.everything)
    more = f" · {deviations} deviation{'s' if deviations > 1 else ''}" if deviations else ""
    return " · ".join(engine.levels) + more, _GREEN
