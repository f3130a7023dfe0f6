"""A picture of lines over steps, on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from musegen.render.image import PALETTE

WIDTH, HEIGHT, MARGIN = 960, 520, 64
FAINT, INK = "#d9dae0", "#6b6b75"
LINES = 6
"""About so many lines across."""

Curves = Mapping[str, Sequence[tuple[float, float]]]


def draw(curves: Curves, path: Path, *, across: str, up: str, level: tuple[str, float] | None = None) -> None:
    """Write curves as a PNG: both axes named, and a `level` drawn across, where there is one."""
    points = [point for curve in curves.values() for point in curve]
    values = [value for _, value in points] + ([level[1]] if level else [])
    low, high = math.log(min(x for x, _ in points)), math.log(max(x for x, _ in points))
    lines = _ticks(max(values))
    top = lines[-1]
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(image)

    def at(x: float, y: float) -> tuple[float, float]:
        share = (math.log(x) - low) / ((high - low) or 1.0)
        return MARGIN + share * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - y / top * (HEIGHT - 2 * MARGIN)

    left, right = math.exp(low), math.exp(high)
    for y in lines:
        pen.line((at(left, y), at(right, y)), fill=FAINT)
        pen.text((8, at(left, y)[1] - 6), f"{y:.3g}", fill=INK)
    for x in sorted({x for x, _ in points}):
        pen.text((at(x, 0)[0] - 8, HEIGHT - MARGIN + 8), f"{x:g}", fill=INK)
    pen.text((WIDTH / 2, HEIGHT - 24), across, fill=INK)
    pen.text((8, 8), up, fill=INK)
    if level:
        pen.line((at(left, level[1]), at(right, level[1])), fill=INK)
        pen.text((at(right, level[1])[0] - 60, at(right, level[1])[1] - 14), level[0], fill=INK)
    for number, (name, curve) in enumerate(sorted(curves.items())):
        places, colour = [at(*point) for point in sorted(curve)], PALETTE[number % len(PALETTE)]
        if len(places) > 1:
            pen.line(places, fill=colour, width=2)
        for x, y in places:
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
        pen.text((MARGIN + 130 * (number % 6), 24 + 14 * (number // 6)), name, fill=colour)
    image.save(path)


def _ticks(highest: float) -> list[float]:
    """Round numbers from 0 to one that is not below the highest value."""
    raw = max(highest, 1e-6) / LINES
    unit = 10.0 ** math.floor(math.log10(raw))
    size = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw)
    return [k * size for k in range(math.ceil(highest / size - 1e-9) + 1)] if highest > 0 else [0.0, 1.0]
