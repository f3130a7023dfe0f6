"""ABC notation (.abc) -> Score: the first tune of a file, by the ABC standard 2.1.

music21 reads ABC too, but loses accidentals within the bar, keys and metres that change, words, interleaved voices
and rests of several bars; so this reader is our own. It needs no process of its own: each character is looked at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from musegen.errors import FileFormatError
from musegen.score.formats import abc_fields
from musegen.score.formats.abc_music import read_music
from musegen.score.formats.abc_score import to_score
from musegen.score.formats.abc_voice import Tune, Voice
from musegen.score.formats.options import ReadOptions
from musegen.score.formats.parts import MADE
from musegen.score.model import Score

_FIELD = re.compile(r"([A-Za-z+]):(.*)")
_MIDI = re.compile(r"%%MIDI\s+(program|channel)\s+(?:\d{1,2}\s+)?(\d{1,3})\s*$", re.ASCII)


def from_abc(data: bytes, warn: Callable[[str], None], options: ReadOptions) -> Score:
    """Read the first tune of an ABC file.

    Raises:
        FileFormatError: if there is no tune in it, or more than the limits allow.
    """
    options.limits.check("bytes", len(data))
    if b"\0" in data:
        raise FileFormatError("not a text file: it holds zero bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # as old files are; it takes every byte
    tune = Tune(options.limits)
    for line in _first_tune(text, warn):
        _line(tune, line)
    if not tune.voices:
        raise FileFormatError("no tune in it: there is no line of notes after a K: field")
    return to_score(tune, warn, options)


def _first_tune(text: str, warn: Callable[[str], None]) -> Iterator[str]:
    """The lines of the fields before all tunes, and of the first tune: it ends at an empty line or the next X:."""
    lines = re.split(r"\r\n|\r|\n", text)
    numbers = [index for index, line in enumerate(lines) if re.match(r"X\s*:", line)]
    if len(numbers) > 1:
        warn(f"{len(numbers)} tunes in the file, of which the first is read; cut the file to read another")
    first = numbers[0] if numbers else 0
    yield from (line for line in lines[:first] if _FIELD.match(line))
    key_seen = False
    for line in lines[first : numbers[1] if len(numbers) > 1 else None]:
        if not line.strip() and key_seen:
            return
        key_seen = key_seen or line.startswith("K:")
        yield line


def _line(tune: Tune, line: str) -> None:
    """One line: a directive, a field, words or notes."""
    midi = _MIDI.match(line)
    if midi and midi[1] == "program" and int(midi[2]) < 128:
        tune.voice.program = int(midi[2])
    elif midi and midi[1] == "channel" and 1 <= int(midi[2]) <= 16:
        tune.voice.channel = int(midi[2]) - 1
    line = re.split(r"(?<!\\)%", line, maxsplit=1)[0].rstrip()
    match = _FIELD.match(line)
    if match and match[1] in "wW":
        _words(tune, match[1], match[2])
    elif match and match[1] != "+":
        _field(tune, match[1], match[2].strip())
    elif line.strip() and not tune.in_head and not match:
        tune.words_fresh = True
        tune.voice.line = []
        read_music(tune, line, lambda letter, text: _field(tune, letter, text))


def _field(tune: Tune, letter: str, text: str) -> None:
    voice = tune.voice
    match letter:
        case "T":
            tune.title = tune.title or text
        case "C":
            tune.composer = tune.composer or text
        case "N" if text.startswith(MADE + "{"):
            tune.made = text.removeprefix(MADE)
        case "L":
            voice.unit = abc_fields.parse_length(text) or voice.unit
        case "M":
            _metre(voice, text)
        case "K":
            _key(voice, text)
            if tune.in_head:
                _end_head(tune)
        case "Q":
            _tempo(tune, text)
        case "V":
            _voice(tune, text)
        case "P" if not tune.in_head:
            tune.markers.append((voice.time, text))
        case "P":
            tune.dropped["order of parts"] += 1
        case _:
            pass  # history, source, notes and so on: not music


def _metre(voice: Voice, text: str) -> None:
    voice.metre = abc_fields.parse_metre(text)
    if voice.metre:
        _state(voice.metres, (voice.time, *voice.metre))


def _tempo(tune: Tune, text: str) -> None:
    tempo = abc_fields.parse_tempo(text)
    if tempo is None:
        tune.dropped["tempo words without a number"] += 1
    else:
        tune.tempos.append((tune.voice.time, tempo))


def _key(voice: Voice, text: str) -> None:
    key = abc_fields.parse_key(text)
    voice.semitones += abc_fields.octave_semitones(text)
    if key is not None:
        voice.key = key
        if key.fifths is not None:
            _state(voice.keys, (voice.time, key.fifths, key.mode))


def _state(stated: list[Any], new: tuple[Fraction, Any, Any]) -> None:
    """Add what holds from a time on, in place of what was stated for that time just before."""
    if stated and stated[-1][0] == new[0]:
        stated.pop()
    stated.append(new)


def _voice(tune: Tune, text: str) -> None:
    """Go to a voice; in the head only note that it is there."""
    name = text.split(maxsplit=1)[0] if text.split() else ""
    if tune.in_head:
        tune.declared[name] = text
        return
    tune.current = name
    tune.voice.name = abc_fields.voice_name(text) or tune.voice.name
    tune.voice.semitones += abc_fields.octave_semitones(text)


def _end_head(tune: Tune) -> None:
    """The voices that the head names begin with what it says."""
    tune.in_head = False
    for text in tune.declared.values():
        _voice(tune, text)
    tune.current = next(iter(tune.declared), "")


def _words(tune: Tune, letter: str, text: str) -> None:
    """Put a line of words under the notes of the line above; only the first of several is kept."""
    if letter == "W" or tune.in_head or not tune.words_fresh:
        tune.dropped["lines of later verses"] += 1
        return
    tune.words_fresh = False
    voice = tune.voice
    notes = iter(voice.line)
    bar: Fraction | None = None
    for syllable in abc_fields.syllables(text):
        if syllable == "|":
            continue
        time, bar = next(notes, (None, bar))
        if time is not None and syllable:
            voice.lyrics.append((time, syllable))
