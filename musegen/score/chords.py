"""Chord symbols taken apart and put together: "F#m7b5/C" is a root, a kind, altered degrees and a bass.

Kinds and degrees are those of MusicXML; music21 uses the same names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

NO_CHORD = "N"
_NO_CHORDS = frozenset((NO_CHORD, "NC", "N.C."))
"""How symbols say that there is no chord."""

_SYMBOL = re.compile(r"([A-G])([#b♯♭]{0,2})([^/]*(?:/(?![A-G][#b♯♭]{0,2}$)[^/]*)*)(?:/([A-G])([#b♯♭]{0,2}))?", re.ASCII)
_DEGREE = re.compile(r"(?:(add|no|omit)\s*)?([#b♯♭+-]?)(\d{1,2})", re.ASCII)
_KINDS = {
    "": "major", "maj": "major", "M": "major", "m": "minor", "min": "minor", "-": "minor",
    "7": "dominant", "maj7": "major-seventh", "Maj7": "major-seventh", "M7": "major-seventh", "j7": "major-seventh",
    "m7": "minor-seventh", "min7": "minor-seventh", "-7": "minor-seventh",
    "dim": "diminished", "o": "diminished", "dim7": "diminished-seventh", "o7": "diminished-seventh",
    "m7b5": "half-diminished", "min7b5": "half-diminished", "ø": "half-diminished", "ø7": "half-diminished",
    "hdim7": "half-diminished", "aug": "augmented", "+": "augmented", "aug7": "augmented-seventh",
    "+7": "augmented-seventh", "mmaj7": "major-minor", "mM7": "major-minor", "minmaj7": "major-minor",
    "6": "major-sixth", "maj6": "major-sixth", "m6": "minor-sixth", "min6": "minor-sixth",
    "9": "dominant-ninth", "maj9": "major-ninth", "M9": "major-ninth", "m9": "minor-ninth", "min9": "minor-ninth",
    "11": "dominant-11th", "maj11": "major-11th", "m11": "minor-11th", "min11": "minor-11th",
    "13": "dominant-13th", "maj13": "major-13th", "m13": "minor-13th", "min13": "minor-13th",
    "sus": "suspended-fourth", "sus4": "suspended-fourth", "sus2": "suspended-second",
    "7sus4": "suspended-fourth", "7sus": "suspended-fourth",  # the text says the seventh, which no kind has
    "5": "power", "pedal": "pedal",
}  # fmt: skip
"""The kinds of MusicXML by how symbols write them."""
_SUFFIXES = {
    "major": "", "minor": "m", "augmented": "aug", "diminished": "dim", "dominant": "7", "dominant-seventh": "7",
    "major-seventh": "maj7", "minor-seventh": "m7", "diminished-seventh": "dim7", "augmented-seventh": "aug7",
    "augmented-major-seventh": "augmaj7", "half-diminished": "m7b5", "half-diminished-seventh": "m7b5",
    "major-minor": "mmaj7", "minor-major-seventh": "mmaj7", "major-sixth": "6", "minor-sixth": "m6",
    "dominant-ninth": "9", "major-ninth": "maj9", "minor-ninth": "m9", "minor-major-ninth": "mmaj9",
    "augmented-major-ninth": "augmaj9", "augmented-dominant-ninth": "aug9", "half-diminished-ninth": "m9b5",
    "half-diminished-minor-ninth": "m7b5b9", "diminished-ninth": "dim9", "diminished-minor-ninth": "dim7b9",
    "dominant-11th": "11", "major-11th": "maj11", "minor-11th": "m11", "minor-major-11th": "mmaj11",
    "dominant-13th": "13", "major-13th": "maj13", "minor-13th": "m13", "minor-major-13th": "mmaj13",
    "suspended-second": "sus2", "suspended-fourth": "sus4", "suspended-fourth-seventh": "7sus4", "power": "5",
    "pedal": "ped", "Neapolitan": "N6", "Italian": "It+6", "French": "Fr+6", "German": "Gr+6", "Tristan": "Tristan",
}  # fmt: skip
"""How symbols write the kinds of MusicXML, and those of music21."""
_ALTERATIONS = {"": 0, "#": 1, "♯": 1, "+": 1, "b": -1, "♭": -1, "-": -1}


@dataclass(frozen=True)
class Degree:
    """A degree that a symbol adds, alters or leaves out ("add", "alter", "subtract"), `alter` semitones from plain."""

    number: int
    alter: int
    change: str


@dataclass(frozen=True)
class ChordSymbol:
    """A chord symbol in parts; `root` and `bass` are (letter, semitones), `text` is what stands between them.

    `kind` is a name of MusicXML's, "other" where none fits, "none" for no chord (then there is no root).
    """

    root: tuple[str, int] | None
    text: str
    kind: str
    degrees: tuple[Degree, ...] = ()
    bass: tuple[str, int] | None = None


def parse_symbol(symbol: str) -> ChordSymbol | None:
    """The parts of a chord symbol; None where it begins with no root."""
    plain = symbol.strip()
    if plain in _NO_CHORDS:
        return ChordSymbol(None, plain, "none")
    found = _SYMBOL.fullmatch(plain)
    if found is None:
        return None
    text = found[3]
    kind, degrees = _kind(text.removeprefix(":"))
    bass = (found[4], _alteration(found[5])) if found[4] else None
    return ChordSymbol((found[1], _alteration(found[2])), text, kind, degrees, bass)


def _alteration(signs: str) -> int:
    return sum(_ALTERATIONS[sign] for sign in signs)


def _kind(text: str) -> tuple[str, tuple[Degree, ...]]:
    """The longest beginning that is a kind, and what follows as degrees; "other" where that is not all."""
    for cut in range(len(text), -1, -1):
        head, tail = text[:cut].strip(), re.sub(r"[()\s,]", "", text[cut:])
        if head in _KINDS:
            degrees = _degrees(tail)
            if degrees is not None:
                return _KINDS[head], degrees
    return "other", ()


def _degrees(text: str) -> tuple[Degree, ...] | None:
    """The degrees that a text such as "b9#11" or "add9" lists; None if it says something else."""
    found: list[Degree] = []
    at = 0
    while at < len(text):
        match = _DEGREE.match(text, at)
        if match is None or not 1 <= int(match[3]) <= 13 or not (match[1] or match[2]):
            return None
        number, alter = int(match[3]), _ALTERATIONS[match[2]]
        change = "subtract" if match[1] in {"no", "omit"} else "alter" if not match[1] and number == 5 else "add"
        found.append(Degree(number, alter, change))
        at = match.end()
    return tuple(found)


def plain_symbol(
    root: str, kind: str, printed: str = "", degrees: Iterable[tuple[int, int, str]] = (), bass: str = ""
) -> str:
    """A symbol such as "Bbm7b5/C"; what is `printed` behind the root goes before the kind.

    `degrees` are (number, semitones altered, "add", "alter" or "subtract").
    """
    if kind == "none":
        return printed or NO_CHORD
    symbol = printed or _SUFFIXES.get(kind, "")
    for number, semitones, change in degrees:
        sign = "#" * semitones if semitones > 0 else "b" * -semitones
        words = {"subtract": f"no{number}", "add": f"{sign}{number}" if sign else f"add{number}"}
        word = words.get(change, f"{sign}{number}")
        if word not in symbol:
            symbol += word
    return root + symbol + (f"/{bass}" if bass and bass != root else "")


def plain_note(step: str, semitones: float) -> str:
    """A note's name in plain writing: Bb for B and -1."""
    whole = round(semitones)
    return step + ("#" * whole if whole > 0 else "b" * -whole)
