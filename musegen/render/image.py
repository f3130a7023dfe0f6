"""Piano-roll pictures: pitch against time, in systems of bars as on a page of music.

Bars and beats are grid lines, the keyboard stands at the left with its Cs named, every track has a colour
and the louder a note the deeper its shade. Drums have a lane of their own, each with its row and name. Chord
symbols and changes of metre, key and tempo stand above the bar they begin in. The same Score gives the same
picture.
"""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from musegen.render.layout import DRUM_ROW_HEIGHT, LANE_GAP, MARGIN, Layout, System, plan
from musegen.score.formats import write_bytes
from musegen.score.instruments import DRUM_NAMES, PROGRAM_NAMES
from musegen.score.model import Array, Score, Track
from musegen.score.theory import Key, pitch_name
from musegen.score.timing import key_at, metre_at, n_bars, tempo_at

Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (38, 98, 176),
    (209, 84, 32),
    (32, 140, 84),
    (142, 68, 173),
    (184, 134, 0),
    (16, 148, 168),
    (194, 48, 98),
    (96, 96, 96),
)
"""A track's colour is PALETTE[index % 8]; all are dark enough for a white page."""

_INK: Colour = (30, 30, 34)
_FAINT_INK: Colour = (120, 120, 128)
_PAPER: Colour = (255, 255, 255)
_BLACK_KEY_ROW: Colour = (242, 243, 246)
_BAR_LINE: Colour = (110, 112, 122)
_BEAT_LINE: Colour = (214, 216, 222)
_C_LINE: Colour = (186, 190, 200)
_BLACK_KEYS = frozenset({1, 3, 6, 8, 10})
_TITLE, _TEXT, _SMALL = (ImageFont.load_default(size) for size in (24, 14, 11))
_LEGEND_LINE = 22
_SPELLINGS = str.maketrans(
    {"ł": "l", "Ł": "L", "ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "đ": "d", "ı": "i"}
    | {"–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "♯": "#", "♭": "b"}
    | dict.fromkeys("\n\t\r", " ")
)


def piano_roll(
    score: Score,
    *,
    width: int = 1600,
    bars: tuple[int, int] | None = None,
    bars_per_row: int | None = None,
) -> Image.Image:
    """Draw `score`.

    Args:
        score: what to draw.
        width: of the picture in pixels; the height follows from the music.
        bars: the bars to draw, 0-based and half-open as in `slice_bars`; None is all.
        bars_per_row: bars in a row; None takes 1 to 16, whatever reads well.

    Raises:
        RequestError: if an argument is out of range or the picture would be more than 16000 pixels high.
    """
    legend = _legend_places(score, width)
    top = MARGIN + (34 if score.title else 0) + 22 + (legend[-1][1] + _LEGEND_LINE if legend else 0) + 8
    layout = plan(score, top=top, width=width, bars=bars, bars_per_row=bars_per_row)
    image = Image.new("RGB", (layout.width, layout.height), _PAPER)
    draw = ImageDraw.Draw(image)
    _draw_head(draw, score, legend)
    for system in layout.systems:
        _draw_rows(draw, layout, system)
        _draw_grid(draw, layout, system, score)
        _draw_signs(draw, layout, system, score)
        _draw_notes(draw, layout, system, score)
    return image


def to_png(image: Image.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=False)
    return buffer.getvalue()


def write_png(
    score: Score,
    path: Path | str,
    *,
    force: bool = False,
    width: int = 1600,
    bars: tuple[int, int] | None = None,
    bars_per_row: int | None = None,
) -> None:
    """Write the piano roll of `score` to `path`, whole or not at all, drawn as `piano_roll` does.

    Raises:
        FileFormatError: if `path` exists and `force` is not given, or cannot be written.
        RequestError: as `piano_roll`.
    """
    image = piano_roll(score, width=width, bars=bars, bars_per_row=bars_per_row)
    write_bytes(to_png(image), Path(path), force=force)


def note_colour(index: int, velocity: int) -> Colour:
    """The colour of a note of track `index`: the track's own at velocity 127, paler the softer it is."""
    red, green, blue = PALETTE[index % len(PALETTE)]
    strength = 0.2 + 0.8 * velocity / 127
    return (_fade(red, strength), _fade(green, strength), _fade(blue, strength))


def _fade(channel: int, strength: float) -> int:
    return round(255 - (255 - channel) * strength)


def plain(text: str) -> str:
    """`text` in the letters that the font has: accents fall away, what has no plain letter becomes "?"."""
    spelled = unicodedata.normalize("NFKD", text.translate(_SPELLINGS))
    letters = "".join(letter for letter in spelled if not unicodedata.combining(letter))
    return "".join(letter if " " <= letter <= "~" else "?" for letter in letters)


def _label(track: Track) -> str:
    return track.name or ("Drums" if track.is_drum else PROGRAM_NAMES[track.program])


def _legend_places(score: Score, width: int) -> list[tuple[int, int, str]]:
    """(x, y, label) for each track, in lines that fit the page; y from the legend's own top."""
    places: list[tuple[int, int, str]] = []
    x = y = 0
    for track in score.tracks:
        label = plain(_label(track))
        label = label if len(label) <= 40 else label[:37] + "..."
        taken = 18 + round(_TEXT.getlength(label)) + 22
        if x and x + taken > width - 2 * MARGIN:
            x, y = 0, y + _LEGEND_LINE
        places.append((MARGIN + x, y, label))
        x += taken
    return places


def _draw_head(draw: ImageDraw.ImageDraw, score: Score, legend: list[tuple[int, int, str]]) -> None:
    y = MARGIN
    if score.title:
        draw.text((MARGIN, y - 6), plain(score.title), fill=_INK, font=_TITLE)
        y += 34
    bars, notes = n_bars(score), score.n_notes
    counts = f"{bars} {'bar' if bars == 1 else 'bars'}, {notes} {'note' if notes == 1 else 'notes'}"
    draw.text((MARGIN, y - 4), f"{_frame(score, 0)}   {counts}", fill=_FAINT_INK, font=_TEXT)
    y += 22
    for index, (x, line, label) in enumerate(legend):
        draw.rectangle((x, y + line + 2, x + 11, y + line + 13), fill=note_colour(index, 127))
        draw.text((x + 18, y + line - 1), label, fill=_INK, font=_TEXT)


def _frame(score: Score, tick: int) -> str:
    """Metre, key and tempo in force at `tick`, in words."""
    metre, key = metre_at(score, tick), key_at(score, tick)
    words = [f"{metre.numerator}/{metre.denominator}"]
    if key is not None:
        words.append(Key.from_signature(key).name)
    words.append(f"quarter = {tempo_at(score, tick).qpm:.4g}")
    return "   ".join(words)


def _draw_rows(draw: ImageDraw.ImageDraw, layout: Layout, system: System) -> None:
    """The keyboard and the pitch rows; below them the drum rows with their names."""
    right = layout.x(system, system.end)
    for pitch in range(layout.low, layout.high + 1):
        y = layout.y(system, pitch)
        bottom = y + layout.row_height - 1
        black = pitch % 12 in _BLACK_KEYS
        if black:
            draw.rectangle((layout.left, y, right, bottom), fill=_BLACK_KEY_ROW)
            draw.rectangle((layout.left - 18, y, layout.left - 5, bottom), fill=_INK)
        middle = y + layout.row_height / 2
        if pitch % 12 == 0:
            draw.line((layout.left - 18, bottom, right, bottom), fill=_C_LINE)
            draw.text((layout.left - 22, middle), pitch_name(pitch), fill=_INK, font=_SMALL, anchor="rm")
        elif pitch % 12 == 5:
            draw.line((layout.left - 18, bottom, layout.left - 4, bottom), fill=_C_LINE)
        elif pitch % 12 == 7:
            draw.text((layout.left - 22, middle), pitch_name(pitch), fill=_FAINT_INK, font=_SMALL, anchor="rm")
    if layout.roll_height:
        bottom = system.top + layout.roll_height - 1
        draw.rectangle((layout.left - 18, system.top, layout.left - 4, bottom), outline=_C_LINE)
    for row, drum in enumerate(layout.drums):
        y = layout.drum_y(system, drum)
        if row % 2 == 0:
            draw.rectangle((layout.left, y, right, y + DRUM_ROW_HEIGHT - 1), fill=_BLACK_KEY_ROW)
        name = DRUM_NAMES.get(drum, pitch_name(drum))
        draw.text((layout.left - 6, y + DRUM_ROW_HEIGHT / 2), name, fill=_INK, font=_SMALL, anchor="rm")


def _draw_grid(draw: ImageDraw.ImageDraw, layout: Layout, system: System, score: Score) -> None:
    """Beat lines, bar lines and bar numbers."""
    bottom = system.top + layout.system_height - 1
    for bar in range(system.first, system.last):
        start, end = int(layout.bars[bar]), int(layout.bars[bar + 1])
        metre = metre_at(score, start)
        compound = metre.denominator >= 8 and metre.numerator % 3 == 0
        beat = (12 if compound else 4) * score.ticks_per_beat // metre.denominator
        for tick in range(start + beat, end, max(1, beat)):
            x = layout.x(system, tick)
            draw.line((x, system.top, x, bottom), fill=_BEAT_LINE)
        x = layout.x(system, start)
        draw.line((x, system.top - 5, x, bottom), fill=_BAR_LINE)
        draw.text((x + 3, system.top - 16), str(bar + 1), fill=_FAINT_INK, font=_SMALL)
    right = layout.x(system, system.end)
    draw.line((right, system.top, right, bottom), fill=_BAR_LINE)
    for y in (system.top, bottom):
        draw.line((layout.left, y, right, y), fill=_BAR_LINE)
    if layout.drums and layout.roll_height:
        top = system.top + layout.roll_height
        draw.rectangle((layout.left, top, right, top + LANE_GAP - 1), fill=_PAPER, outline=_BAR_LINE)


def _draw_signs(draw: ImageDraw.ImageDraw, layout: Layout, system: System, score: Score) -> None:
    """Above the bars: chord symbols, and what changes of metre, key and tempo."""
    for chord in score.chords:
        if system.start <= chord.time < system.end:
            place = (layout.x(system, chord.time) + 24, system.top - 17)
            draw.text(place, plain(chord.symbol), fill=_INK, font=_SMALL)
    changes = {metre.time for metre in score.time_signatures} | {key.time for key in score.key_signatures}
    changes |= {tempo.time for tempo in score.tempos}
    free_from = 0
    for tick in sorted(changes):
        x = layout.x(system, tick)
        before = _frame(score, tick - 1) if tick > 0 else _frame(score, 0)
        changed = [w for w in _frame(score, tick).split("   ") if w not in before.split("   ")]
        if changed and system.start <= tick < system.end and x >= free_from:
            words = ", ".join(changed)
            draw.text((x + 3, system.top - 30), words, fill=_FAINT_INK, font=_SMALL)
            free_from = x + round(_SMALL.getlength(words)) + 8


def _draw_notes(draw: ImageDraw.ImageDraw, layout: Layout, system: System, score: Score) -> None:
    """Notes; where two tracks sound the same pitch, the later is drawn smaller so that both are seen."""
    sounding_until: dict[int, tuple[int, int]] = {}
    drawn: list[tuple[int, int, int, int]] = []  # start, track, pitch, row of its track's notes
    for index, track in enumerate(score.tracks):
        notes = track.notes
        seen = (notes["start"] < system.end) & (notes["start"] + notes["duration"] > system.start)
        if track.is_drum:
            seen = (notes["start"] < system.end) & (notes["start"] >= system.start)
        drawn += [(int(notes["start"][row]), index, int(notes["pitch"][row]), int(row)) for row in seen.nonzero()[0]]
    for start, index, pitch, row in sorted(drawn):
        note = score.tracks[index].notes[row]
        fill = note_colour(index, int(note["velocity"]))
        edge = _edge(index)
        if score.tracks[index].is_drum:
            draw.rectangle(_hit_box(layout, system, note, score.ticks_per_beat), fill=fill, outline=edge)
            continue
        end = start + int(note["duration"])
        other, until = sounding_until.get(pitch, (index, 0))
        inset = layout.row_height // 4 if other != index and until > start else 0
        sounding_until[pitch] = (index, max(end, until))
        x0 = layout.x(system, max(start, system.start))
        x1 = max(x0 + 2, layout.x(system, min(end, system.end)) - 1)
        y = layout.y(system, pitch)
        draw.rectangle((x0, y + inset, x1, y + layout.row_height - 1 - inset), fill=fill, outline=edge)


def _edge(index: int) -> Colour:
    red, green, blue = PALETTE[index % len(PALETTE)]
    return (red * 2 // 3, green * 2 // 3, blue * 2 // 3)


def _hit_box(layout: Layout, system: System, note: Array, ticks_per_beat: int) -> tuple[int, int, int, int]:
    """A drum is struck, not held: a box of a sixteenth at most, from the stroke on."""
    x = layout.x(system, int(note["start"]))
    wide = min(11, max(4, round(ticks_per_beat / 4 * layout.pixels_per_tick) - 2))
    y = layout.drum_y(system, int(note["pitch"]))
    return (x, y + 2, x + wide, y + DRUM_ROW_HEIGHT - 3)
