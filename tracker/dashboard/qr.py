"""A QR code as inline SVG, without styles of its own."""

from __future__ import annotations

import io

import segno
from markupsafe import Markup


def qr_code(text: str, label: str) -> Markup:
    """The code of a text. Error correction M: readable from a screen at arm's length. Raises segno.DataOverflowError."""
    code = segno.make(text, error="m", micro=False)
    width, height = code.symbol_size(border=0)
    out = io.BytesIO()
    code.save(out, kind="svg", border=0, xmldecl=False, svgns=False, svgclass="", lineclass="", omitsize=True)
    drawing = out.getvalue().decode()
    path = drawing[drawing.index("<path") : drawing.rindex("</svg>")].replace(' stroke="#000"', "")
    return Markup('<svg class="qr" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width,
        height,
        label,
        Markup(path),  # noqa: S704 - segno's own drawing, numbers only
    )
