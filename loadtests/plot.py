"""Small line charts as SVG, written by hand: nothing to install, readable in a diff."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#1f5fa8", "#c2410c", "#15803d", "#7c3aed", "#64748b", "#b45309")
WIDTH, HEIGHT, LEFT, TOP = 380, 240, 52, 36


@dataclass(frozen=True)
class Line:
    """A named series of (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """One chart: its title, what the axes mean and span, and its lines."""

    title: str
    x_label: str
    y_label: str
    x_span: tuple[float, float]
    y_span: tuple[float, float]
    lines: Sequence[Line]


def svg(*panels: Panel) -> str:
    """The panels side by side."""
    width = (WIDTH + LEFT + 20) * len(panels) + 10
    height = HEIGHT + TOP + 52 + 16 * max(len(panel.lines) for panel in panels)
    body = "\n".join(_panel(panel, (WIDTH + LEFT + 20) * number + LEFT) for number, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _panel(panel: Panel, left: int) -> str:
    (x0, x1), (y0, y1) = panel.x_span, panel.y_span

    def place(x: float, y: float) -> tuple[float, float]:
        y = min(max(y, y0), y1)
        return left + (x - x0) / (x1 - x0) * WIDTH, TOP + HEIGHT - (y - y0) / (y1 - y0) * HEIGHT

    parts = [
        f'<text x="{left}" y="{TOP - 14}" font-size="14" font-weight="bold">{escape(panel.title)}</text>',
        f'<text x="{left + WIDTH / 2:.0f}" y="{TOP + HEIGHT + 34}" text-anchor="middle">{escape(panel.x_label)}</text>',
        f'<text x="{left - 36}" y="{TOP + HEIGHT / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 {left - 36} {TOP + HEIGHT / 2:.0f})">{escape(panel.y_label)}</text>',
    ]
    for step in range(6):
        x, y = x0 + (x1 - x0) * step / 5, y0 + (y1 - y0) * step / 5
        across, _ = place(x, y0)
        _, up = place(x0, y)
        parts.append(f'<path d="M{left} {up:.1f}H{left + WIDTH}" stroke="#e2e8f0"/>')
        parts.append(f'<text x="{left - 6}" y="{up + 4:.1f}" text-anchor="end">{y:g}</text>')
        parts.append(f'<text x="{across:.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{x:g}</text>')
    parts.append(f'<path d="M{left} {TOP}V{TOP + HEIGHT}H{left + WIDTH}" fill="none" stroke="#475569"/>')
    for number, line in enumerate(panel.lines):
        colour, dash = COLOURS[number % len(COLOURS)], ' stroke-dasharray="5 3"' if line.dashed else ""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line.points))
        below = TOP + HEIGHT + 52 + 16 * number
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        parts.append(f'<path d="M{left} {below - 4}h22" stroke="{colour}" stroke-width="2"{dash}/>')
        parts.append(f'<text x="{left + 28}" y="{below}">{escape(line.name)}</text>')
    return "\n".join(parts)
