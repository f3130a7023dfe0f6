"""Chord symbols as MusicXML and music21 say them (a root, a kind in words, degrees, a bass) in plain writing."""

from __future__ import annotations

from collections.abc import Iterable

NO_CHORD = "N"

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
