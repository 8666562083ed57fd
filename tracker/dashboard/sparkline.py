"""A series as a small picture: the path of an SVG, made on the server."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT, PAD = 96, 24, 1.5
MOST_POINTS = 96  # one per unit of the picture's width


def thinned(values: Sequence[float]) -> Sequence[float]:
    """At most that many values: neighbours are averaged, for nobody sees more in so small a picture."""
    size = -(-len(values) // MOST_POINTS)
    if size <= 1:
        return values
    parts = [values[start : start + size] for start in range(0, len(values), size)]
    return [sum(part) / len(part) for part in parts]


def sparkline(values: Sequence[float], label: str = "", colour: str = "") -> Markup:
    """The SVG of a series, from its least (or zero) to its greatest value. One value is a flat line; none is empty.

    `label` is read out in its place; without one it is decoration beside a number that says the same.
    """
    values = thinned(values)
    top, bottom = max(values, default=0), min(0, *values) if values else 0
    span = (top - bottom) or 1
    step = WIDTH / max(len(values) - 1, 1)
    points = [
        f"{index * step:.1f} {PAD + (HEIGHT - 2 * PAD) * (1 - (value - bottom) / span):.1f}"
        for index, value in enumerate(values)
    ]
    if len(points) == 1:
        points.append(f"{WIDTH} {points[0].split()[1]}")
    line = "M" + "L".join(points) if points else ""
    area = f"{line}L{WIDTH} {HEIGHT}L0 {HEIGHT}Z" if line else ""
    said = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup(
        '<svg class="spark {}" viewBox="0 0 {} {}" preserveAspectRatio="none" {}><path class="area" d="{}"/><path d="{}"/></svg>'
    ).format(colour, WIDTH, HEIGHT, said, area, line)
