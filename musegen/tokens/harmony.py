"""Chord symbols <-> the values of Chord and Bass tokens."""

from __future__ import annotations

import re

from musegen.tokens.vocabulary import NO_CHORD, PITCH_CLASSES, QUALITIES

_SYMBOL = re.compile(r"([A-G])([#b]*)([^/]*)(?:/([A-G])([#b]*))?$")
_ALIASES = {
    **{quality: quality for quality in QUALITIES},
    "maj": "",
    "M": "",
    "min": "m",
    "-": "m",
    "Maj7": "maj7",
    "M7": "maj7",
    "min7": "m7",
    "-7": "m7",
    "o": "dim",
    "o7": "dim7",
    "hdim7": "m7b5",
    "ø": "m7b5",
    "ø7": "m7b5",
    "+": "aug",
    "sus": "sus4",
    "maj6": "6",
    "min6": "m6",
    "minmaj7": "mmaj7",
    "mM7": "mmaj7",
    "9": "7",
    "7sus4": "sus4",
    "maj9": "maj7",
    "m9": "m7",
    "13": "7",
    "add9": "",
    "5": "",
}
"""How qualities are written elsewhere; extensions go to the seventh chord below them."""

CHORD_TONES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7), "m": (0, 3, 7), "7": (0, 4, 7, 10), "maj7": (0, 4, 7, 11), "m7": (0, 3, 7, 10),
    "dim": (0, 3, 6), "dim7": (0, 3, 6, 9), "m7b5": (0, 3, 6, 10), "aug": (0, 4, 8), "sus4": (0, 5, 7),
    "sus2": (0, 2, 7), "6": (0, 4, 7, 9), "m6": (0, 3, 7, 9), "mmaj7": (0, 3, 7, 11),
}  # fmt: skip
"""Semitones of each quality above the root; the second is the third of the chord, or what stands for it."""


def parse_chord(symbol: str) -> tuple[int, int] | None:
    """(Chord value, Bass value or -1) of "Dm7", "Bb/F", "C:maj" or "N"; None where no word says it."""
    text = symbol.strip().replace(":", "")
    if text in ("N", "NC", "N.C."):
        return NO_CHORD, -1
    found = _SYMBOL.match(text)
    if found is None or found[3] not in _ALIASES:
        return None
    root = _pitch_class(found[1], found[2])
    bass = _pitch_class(found[4], found[5]) if found[4] else -1
    return 1 + len(QUALITIES) * root + QUALITIES.index(_ALIASES[found[3]]), -1 if bass == root else bass


def chord_symbol(chord: int, bass: int = -1) -> str:
    """The symbol of a Chord and a Bass value."""
    if chord == NO_CHORD:
        return "N"
    root, quality = divmod(chord - 1, len(QUALITIES))
    return PITCH_CLASSES[root] + QUALITIES[quality] + (f"/{PITCH_CLASSES[bass]}" if bass >= 0 else "")


def _pitch_class(letter: str, accidentals: str) -> int:
    natural = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[letter]
    return (natural + accidentals.count("#") - accidentals.count("b")) % 12
