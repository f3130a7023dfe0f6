"""The fields of ABC notation that have a grammar of their own: keys, metres, lengths, tempi, words under notes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

LETTERS = "CDEFGAB"
_BY_FIFTHS = "FCGDAEB"  # in this order sharps come, in the other flats
_MODES = {
    "": 0,
    "maj": 0,
    "ion": 0,
    "m": -3,
    "min": -3,
    "aeo": -3,
    "mix": -1,
    "dor": -2,
    "phr": -4,
    "lyd": 1,
    "loc": -5,
}
_MINOR = {"m", "min", "aeo", "dor", "phr", "loc"}  # those with a minor third

_KEY = re.compile(r"([A-G])([#b]?)\s*([A-Za-z]*)", re.ASCII)
_WORD = re.compile(r"\b(clef|name|nm|octave|transpose)\s*=\s*(\"[^\"]*\"|\S+)")
_CLEF = re.compile(r"\b(?:treble|bass|alto|tenor)\d?([+-]8)")
_ACCIDENTAL = re.compile(r"(\^\^|__|\^|_|=)([A-Ga-g])(?![\w,'])")
_FRACTION = re.compile(r"(\d{1,4})\s*/\s*(\d{1,4})", re.ASCII)
_BEATS = re.compile(r"\(?(\d{1,3}(?:\s*\+\s*\d{1,3})*)\)?\s*/\s*(\d{1,2})", re.ASCII)
ACCIDENTALS = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}


@dataclass(frozen=True)
class AbcKey:
    """A key: what its signature raises or lowers by letter (in semitones), and the signature, if it has one."""

    alters: dict[str, int] = field(default_factory=dict)
    fifths: int | None = None
    mode: str = "major"


def parse_key(text: str) -> AbcKey | None:
    """The key of a K: field; None if it says none (only a clef)."""
    plain = _WORD.sub("", text)
    changes = {letter.upper(): ACCIDENTALS[sign] for sign, letter in _ACCIDENTAL.findall(plain)}
    plain = _ACCIDENTAL.sub("", plain).strip()
    if plain[:2] in {"HP", "Hp"}:  # the highland pipes
        return AbcKey({"F": 1, "C": 1}, 2)
    if plain.lower().startswith("none") or (not plain and changes):
        return AbcKey(changes, 0)
    match = _KEY.match(plain)
    if match is None:
        return None
    word = match[3].lower()
    mode = word if word == "m" else word[:3]
    if mode not in _MODES:
        mode = ""  # "exp", or the name of a clef
    shift = {"": 0, "#": 7, "b": -7}[match[2]]
    fifths = _BY_FIFTHS.index(match[1]) - 1 + shift + _MODES[mode]
    if word.startswith("exp"):  # only what is written counts
        return AbcKey(changes, sum(changes.values()))
    alters = {**_signature(fifths), **changes}
    if abs(fifths) > 7:
        fifths -= 12 if fifths > 0 else -12
    return AbcKey(alters, fifths, "minor" if mode in _MINOR else "major")


def _signature(fifths: int) -> dict[str, int]:
    order = _BY_FIFTHS if fifths > 0 else _BY_FIFTHS[::-1]
    alters = dict.fromkeys(LETTERS, 0)
    for place in range(abs(fifths)):
        alters[order[place % 7]] += 1 if fifths > 0 else -1
    return alters


def octave_semitones(text: str) -> int:
    """By how much a K: or V: field moves the sounding notes."""
    words = {name: value.strip('"') for name, value in _WORD.findall(text)}
    clef = _CLEF.search(text)
    semitones = 12 * (1 if clef[1] == "+8" else -1) if clef else 0
    for name, unit in (("octave", 12), ("transpose", 1)):
        if re.fullmatch(r"[+-]?\d{1,2}", words.get(name, "")):
            semitones += unit * int(words[name])
    return semitones


def voice_name(text: str) -> str:
    """The name in a V: field."""
    words: dict[str, str] = {name: value.strip('"') for name, value in _WORD.findall(text)}
    return words.get("name", words.get("nm", ""))


def parse_metre(text: str) -> tuple[int, int] | None:
    """The metre of an M: field; None for a free one, or none that can be read."""
    plain = text.strip()
    if plain in {"C", "C|"}:
        return (4, 4) if plain == "C" else (2, 2)
    match = _BEATS.match(plain)
    if match is None:
        return None
    beats, unit = sum(map(int, match[1].split("+"))), int(match[2])
    power_of_two = unit > 0 and unit & (unit - 1) == 0
    return (beats, unit) if power_of_two and 1 <= beats <= 255 else None


def parse_length(text: str) -> Fraction | None:
    """The length of an L: field in quarters."""
    match = _FRACTION.search(text)
    return Fraction(4 * int(match[1]), int(match[2])) if match and int(match[1]) and int(match[2]) else None


def parse_tempo(text: str) -> float | None:
    """Quarters a minute of a Q: field, None if it has only words. A bare number counts quarters."""
    plain = re.sub(r"\"[^\"]*\"", "", text).strip()
    beat, equals, number = plain.rpartition("=")
    rate = re.match(r"\s*(\d{1,4}(?:\.\d{1,6})?)", number, re.ASCII)
    lengths = [Fraction(4 * int(n), int(d)) for n, d in _FRACTION.findall(beat) if int(d)]
    quarters = sum(lengths, Fraction(0)) if equals and lengths else Fraction(1)
    return float(rate[1]) * float(quarters) if rate and float(rate[1]) > 0 and quarters else None


def note_length(text: str) -> Fraction:
    """The factor behind a note: "3", "/2", "3/2", "//"."""
    digits, slashes, below = text.partition("/")
    top = Fraction(int(digits) if digits else 1)
    if not slashes:
        return top
    rest = below.lstrip("/")
    return top / (int(rest) or 1) if rest else top / 2 ** min(len(below) + 1, 10)


def syllables(text: str) -> list[str]:
    """The words of a w: line, one for a note: "" for a note that has none, "|" for a wait until the next bar."""
    found: list[str] = []
    before = ""
    for piece in re.findall(r"(?:\\-|[^\s\-_*|])+|[\-_*|]", text):
        if piece in {"_", "*"} or piece == before == "-":  # held for a note, or none
            found.append("")
        elif piece != "-":
            found.append(piece if piece == "|" else piece.replace("~", " ").replace("\\-", "-"))
        before = piece
    return found
