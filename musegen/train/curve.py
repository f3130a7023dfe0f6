"""The log of a run: log.csv, and curve.png, which shows it."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LOG_FILE, CURVE_FILE = "log.csv", "curve.png"
LOG_COLUMNS = ("step", "seconds", "tokens", "lr", "train_loss", "valid_nats_per_note", "valid_by_source")
"""train_loss: nats a token, mean since the row before; valid: empty where it was not measured."""

CURVES = {"train_loss": ("train, nats a token", "#2662b0"), "valid_nats_per_note": ("valid, nats a note", "#d15420")}
WIDTH, HEIGHT, MARGIN = 960, 480, 56
_LINES = 6


def read_log(folder: Path) -> list[dict[str, str]]:
    """The rows of log.csv; none if there is none. A row that a kill cut short is left out."""
    path = folder / LOG_FILE
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if None not in row.values()]


def measures_since_best(folder: Path) -> int:
    """How many measures on valid the log has since its best one, the first of equal ones; 0 where it has none."""
    measured = [float(row["valid_nats_per_note"]) for row in read_log(folder) if row["valid_nats_per_note"]]
    return len(measured) - 1 - measured.index(min(measured)) if measured else 0  # NaN behind it is never smaller


def trim_log(folder: Path, step: int) -> None:
    """Remove the rows from beyond `step`, which a killed run wrote after its last state."""
    rows = [row for row in read_log(folder) if int(row["step"]) <= step]
    folder.mkdir(parents=True, exist_ok=True)
    temporary = (folder / LOG_FILE).with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, LOG_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(folder / LOG_FILE)


def append_log(folder: Path, row: Mapping[str, Any]) -> None:
    """Add a row to log.csv, which `trim_log` began."""
    with (folder / LOG_FILE).open("a", newline="", encoding="utf-8") as stream:
        csv.DictWriter(stream, LOG_COLUMNS).writerow(row)


def draw_curve(folder: Path) -> bool:
    """Draw log.csv as curve.png: losses over steps. Whether it was drawn: not without Pillow, nor with one row."""
    try:
        from PIL import Image, ImageDraw
    except ImportError:  # a bare machine that only trains; the log is enough to draw it elsewhere
        return False
    rows = read_log(folder)
    curves = {name: [(int(r["step"]), float(r[name])) for r in rows if r[name]] for name in CURVES}
    points = [point for curve in curves.values() for point in curve]
    last = max((step for step, _ in points), default=0)
    if last == 0:
        return False
    ticks = _ticks([value for _, value in points])
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)

    def at(step: float, value: float) -> tuple[float, float]:
        across, up = step / last, (value - ticks[0]) / (ticks[-1] - ticks[0])
        return MARGIN + across * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN - up * (HEIGHT - 2 * MARGIN)

    for tick in ticks:
        draw.line((at(0, tick), at(last, tick)), fill="#d9dae0")
        draw.text((8, at(0, tick)[1] - 6), f"{tick:g}", fill="#6b6b75")
    for share in range(5):
        x, y = at(share * last / 4, ticks[0])
        draw.text((x - 12, y + 8), f"{share * last // 4:,}", fill="#6b6b75")
    draw.text((WIDTH / 2, HEIGHT - 20), "steps", fill="#6b6b75")
    for number, (name, (label, colour)) in enumerate(CURVES.items()):
        places = [at(*point) for point in curves[name]]
        draw.line(places, fill=colour, width=2)
        for x, y in places if len(places) < 100 else ():
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
        draw.text((MARGIN + 200 * number, 16), label, fill=colour)
    image.save(folder / CURVE_FILE)
    return True


def _ticks(values: Sequence[float]) -> list[float]:
    """Round numbers that enclose the values."""
    low, high = min(values), max(values)
    raw = max(high - low, 1e-3) / _LINES
    unit = 10.0 ** math.floor(math.log10(raw))
    size = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw)
    first, last = math.floor(low / size), max(math.ceil(high / size), math.floor(low / size) + 1)
    return [round(k * size, 9) for k in range(first, last + 1)]
