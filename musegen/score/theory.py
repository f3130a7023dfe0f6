"""Keys, scales, pitch names and metres as people write them, to numbers and back.

Pitch classes count semitones from C (C = 0, B = 11). Fifths count the sharps (positive) or flats (negative)
of a key signature, as MIDI and MusicXML do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.score.model import KeySignature

_LETTER_PITCH_CLASS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_LETTERS_BY_FIFTHS = "FCGDAEB"  # the line of fifths through the plain letters
_ACCIDENTALS = {"": 0, "#": 1, "b": -1}
_SHARP_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_FLAT_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
_MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
_MINOR_SCALE = (0, 2, 3, 5, 7, 8, 10)

_KEY = re.compile(r"([A-Ga-g])\s*(sharp|flat|#|b|♯|♭)?\s*(major|maj|dur|M|minor|min|moll|m)?", re.ASCII)
_PITCH = re.compile(r"([A-Ga-g])(##|#|bb|b|♯|♭)?(-1|\d)", re.ASCII)
_METER = re.compile(r"(\d{1,2})\s*/\s*(\d{1,2})", re.ASCII)
_CHORD_ROOT = re.compile(r"(^|/)([A-G])([#b]?)")
KEY_PROFILES: dict[str, tuple[float, ...]] = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
"""How well each pitch class, from the tonic up, fits a key, as listeners judged it (Krumhansl, Kessler 1982)."""
_KEY_EXAMPLES = "say it like D major, F# minor, Bb or Dm"


@dataclass(frozen=True)
class Key:
    """A key: `tonic_pc` 0..11, `mode` "major" or "minor", `fifths` -7..7 of its signature."""

    tonic_pc: int
    mode: str
    fifths: int

    @classmethod
    def from_signature(cls, signature: KeySignature) -> Key:
        """The key that a signature stands for."""
        minor = signature.mode == "minor"
        return cls((signature.fifths * 7 + 9 * minor) % 12, signature.mode, signature.fifths)

    @property
    def tonic(self) -> str:
        """The tonic's name, such as "Bb"."""
        place = self.fifths + (3 if self.mode == "minor" else 0) + 1  # C stands at 1 in _LETTERS_BY_FIFTHS
        return _LETTERS_BY_FIFTHS[place % 7] + ("" if 0 <= place < 7 else "#" if place >= 7 else "b")

    @property
    def name(self) -> str:
        """The key's name, such as "D major"."""
        return f"{self.tonic} {self.mode}"

    def signature(self, time: int = 0) -> KeySignature:
        """The key signature of this key from tick `time` on."""
        return KeySignature(time, self.fifths, self.mode)

    def transposed(self, semitones: int) -> Key:
        """The key `semitones` higher, with the fewest accidentals (six sharps or six flats: as before)."""
        fifths = (self.fifths + 7 * semitones + 5) % 12 - 5  # -5..6
        if semitones % 12 == 0:
            fifths = self.fifths
        elif fifths == 6 and self.fifths < 0:
            fifths = -6
        return Key((self.tonic_pc + semitones) % 12, self.mode, fifths)


def key_of_pitch_class(tonic_pc: int, mode: str) -> Key:
    """The key of this tonic with the fewest accidentals (F# major and Eb minor rather than Gb and D#)."""
    fifths = ((tonic_pc - 9 * (mode == "minor")) * 7 + 5) % 12 - 5  # -5..6
    return Key(tonic_pc % 12, mode, -6 if fifths == 6 and mode == "minor" else fifths)


def key_fits(weights: npt.NDArray[np.number]) -> npt.NDArray[np.float64]:
    """How well twelve weights of pitch classes fit each key, (24,): tonics of major from C up, then of minor.

    Their products with the keys' profiles, each of mean 0 and deviation 1, which rank keys as Pearson's correlation
    does (Krumhansl 1990).
    """
    return np.array(
        [
            weights @ np.roll((profile - profile.mean()) / profile.std(), root)
            for profile in map(np.array, KEY_PROFILES.values())
            for root in range(12)
        ]
    )


def parse_key(text: str) -> Key:
    """Read a key: "D major", "D", "Dm", "d minor", "F# minor", "Bb". A bare letter of either case is major.

    A key of more than seven accidentals is respelt (G# major becomes Ab major).

    Raises:
        RequestError: if `text` is no key.
    """
    words = text.strip()
    match = _KEY.fullmatch(words) or _KEY.fullmatch(words[:1] + words[1:].lower())
    if match is None:
        raise RequestError(f"{text!r} is not a key; {_KEY_EXAMPLES}")
    letter, accidental, mode_word = match[1].upper(), match[2] or "", match[3] or "major"
    mode = "minor" if mode_word in {"m", "min", "minor", "moll"} else "major"
    shift = {"sharp": 1, "#": 1, "♯": 1, "flat": -1, "b": -1, "♭": -1}.get(accidental, 0)
    fifths = _LETTERS_BY_FIFTHS.index(letter) - 1 + 7 * shift - (3 if mode == "minor" else 0)
    if abs(fifths) > 7:
        fifths -= 12 if fifths > 0 else -12
    return Key((_LETTER_PITCH_CLASS[letter] + shift) % 12, mode, fifths)


def scale_pitch_classes(key: Key, *, raised: bool = True) -> frozenset[int]:
    """The pitch classes of the key's scale; in minor, if `raised`, the raised sixth and seventh too."""
    steps: tuple[int, ...] = _MAJOR_SCALE
    if key.mode == "minor":
        steps = (*_MINOR_SCALE, 9, 11) if raised else _MINOR_SCALE
    return frozenset((key.tonic_pc + step) % 12 for step in steps)


def parse_pitch(text: str) -> int:
    """Read a pitch name such as "F#4" or "Bb-1" as a MIDI pitch; C4 is 60.

    Raises:
        RequestError: if `text` is no pitch name or lies outside C-1 (0) to G9 (127).
    """
    match = _PITCH.fullmatch(text.strip())
    if match is None:
        raise RequestError(f"{text!r} is not a pitch; say it like C4 (middle C), F#3 or Bb5")
    shift = {"#": 1, "♯": 1, "##": 2, "b": -1, "♭": -1, "bb": -2}.get(match[2] or "", 0)
    pitch = 12 * (int(match[3]) + 1) + _LETTER_PITCH_CLASS[match[1].upper()] + shift
    if not 0 <= pitch <= 127:
        raise RequestError(f"{text!r} lies outside MIDI's range; pitches go from C-1 to G9")
    return pitch


def pitch_name(pitch: int) -> str:
    """The name of a MIDI pitch, with sharps: 60 is "C4"."""
    return f"{_SHARP_NAMES[pitch % 12]}{pitch // 12 - 1}"


def parse_meter(text: str) -> tuple[int, int]:
    """Read a metre such as "6/8" as (6, 8).

    Raises:
        RequestError: unless the numerator is 1..24 and the denominator 1, 2, 4, 8, 16 or 32.
    """
    match = _METER.fullmatch(text.strip())
    numerator, denominator = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= numerator <= 24 or denominator not in {1, 2, 4, 8, 16, 32}:
        raise RequestError(f"{text!r} is not a metre; say 3/4 or 6/8: 1 to 24 over 1, 2, 4, 8, 16 or 32")
    return numerator, denominator


def transpose_chord(symbol: str, semitones: int, *, flats: bool = False) -> str:
    """A chord symbol ("F#m7/C#") `semitones` higher, its root and bass spelt with sharps, or with flats.

    What does not begin with a root (such as "N") comes back as it is.
    """
    names = _FLAT_NAMES if flats else _SHARP_NAMES

    def shifted(match: re.Match[str]) -> str:
        pitch_class = _LETTER_PITCH_CLASS[match[2]] + _ACCIDENTALS[match[3]] + semitones
        return match[1] + names[pitch_class % 12]

    return _CHORD_ROOT.sub(shifted, symbol) if _CHORD_ROOT.match(symbol) else symbol
