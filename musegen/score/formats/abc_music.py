"""A line of ABC's notes, token by token."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from musegen.score.chords import NO_CHORD
from musegen.score.formats.abc_fields import ACCIDENTALS, note_length
from musegen.score.formats.abc_repeats import Mark, endings
from musegen.score.formats.abc_voice import Tune, Voice
from musegen.score.formats.sounds import VELOCITIES, Sound

_LENGTH = r"(?:\d{0,4}/+\d{0,4}|\d{1,4})?"
_PITCH = r"(?:\^\^|\^|__|_|=)?[A-Ga-g][,']{0,6}"
_TOKEN = re.compile(
    rf"""
    (?P<quoted>"[^"]*")
    | (?P<decoration>![^!\s]{{1,30}}!|\+[a-zA-Z0-9.<>()]{{1,30}}\+)
    | (?P<field>\[[A-Za-z]:[^\]]*\])
    | \[(?P<ending>\d{{1,2}}(?:[,-]\d{{1,2}}){{0,9}})
    | (?P<bar>\[\|[\]|]*:*|:+\|?[|\]]*:*|\|[|\]]*:*) (?P<number>\d{{1,2}}(?:[,-]\d{{1,2}}){{0,9}})?
    | \{{/?(?P<grace>[^}}]*)\}}
    | \((?P<tuplet>[2-9](?::[1-9]?(?::\d{{0,2}})?)?)
    | \[(?P<chord>[^\]\[|"]*)\](?P<chord_length>{_LENGTH})
    | (?P<pitch>{_PITCH})(?P<length>{_LENGTH})
    | (?P<rest>[zx])(?P<rest_length>{_LENGTH})
    | (?P<bars>[ZX])(?P<bars_count>\d{{0,4}})
    | (?P<broken>>{{1,3}}|<{{1,3}})
    | (?P<tie>-)
    | (?P<overlay>&)
    | (?P<mark>[~.h-wH-W])
    | (?P<skipped>[\s`$*\\y;?#@]+|[()])
    """,
    re.VERBOSE | re.ASCII,
)
_NOTE = re.compile(rf"({_PITCH})({_LENGTH})(-?)", re.ASCII)
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_REPEAT_DECORATIONS = {"segno", "coda", "fine", "D.C.", "D.S.", "dacapo", "dacoda", "D.C.alfine", "D.S.alfine"}


def read_music(tune: Tune, line: str, on_field: Callable[[str, str], None]) -> None:
    """Read a line of notes; `on_field` gets the letter and text of fields between them."""
    position = 0
    while position < len(line):
        match = _TOKEN.match(line, position)
        if match is None:
            tune.dropped["characters that mean nothing"] += 1
            position += 1
            continue
        position = match.end()
        tune.tokens += 1
        if tune.tokens > tune.limits.events:
            tune.limits.check("events", tune.tokens)
        _token(tune, match, on_field)


def _token(tune: Tune, match: re.Match[str], on_field: Callable[[str, str], None]) -> None:
    voice = tune.voice
    kind = next(name for name, value in match.groupdict().items() if value is not None)
    text = match[kind]
    match kind:
        case "pitch":
            _sound(voice, [(text, voice.length(note_length(match["length"])))], tune)
        case "chord":
            _chord(tune, text, match["chord_length"])
        case "rest":
            _advance(voice, voice.length(note_length(match["rest_length"])), [])
        case "bars":
            _rest_bars(tune, int(match["bars_count"] or 1))
        case "bar":
            _bar(tune, text, match["number"])
        case "ending":
            voice.repeats.append(Mark(voice.time, "ending", endings(text)))
        case "field":
            on_field(text[1], text[3:-1].strip())
        case "grace":
            _grace(voice, text, tune)
        case "quoted":
            _quoted(tune, text[1:-1])
        case "decoration":
            _decoration(tune, text[1:-1])
        case "mark":
            tune.dropped["ornaments and articulations"] += 1
        case _:
            _rhythm(voice, kind, text)


def _rhythm(voice: Voice, kind: str, text: str) -> None:
    """Tuplets, dots across a pair, ties and overlaid voices."""
    match kind:
        case "tuplet":
            count, _, others = text.partition(":")
            into, _, notes = others.partition(":")
            compound = voice.metre is not None and voice.metre[0] % 3 == 0 and voice.metre[0] > 3
            usual = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(int(count), 3 if compound else 2)
            voice.tuplet = (int(notes or count), Fraction(int(into or usual), int(count)))
        case "broken":
            short = Fraction(1, 2 ** len(text))
            before, after = (2 - short, short) if text[0] == ">" else (short, 2 - short)
            change = voice.last_length * (before - 1)
            for sound in voice.last:
                sound.end += change
            voice.time += change
            voice.last_length += change
            voice.next_factor = after
        case "tie":
            for sound in voice.last:
                sound.tie = "start" if sound.tie is None else "continue"
        case "overlay":
            voice.time = voice.bar
            voice.overlay += 1
            voice.last = []


def _advance(voice: Voice, length: Fraction, sounds: list[Sound]) -> None:
    voice.last, voice.last_length = sounds, length
    voice.time += length


def _pitch(voice: Voice, text: str) -> int:
    """The sounding MIDI pitch; an accidental holds to the end of the bar, for its octave."""
    sign = text.rstrip("ABCDEFGabcdefg,'")
    letter = text[len(sign)]
    octave = letter.islower() + text.count("'") - text.count(",")
    place = (letter.upper(), octave)
    if sign:
        voice.accidentals[place] = ACCIDENTALS[sign]
    alter = voice.accidentals.get(place, voice.key.alters.get(place[0], 0))
    return 60 + _SEMITONES[place[0]] + 12 * octave + alter + voice.semitones


def _sound(voice: Voice, notes: list[tuple[str, Fraction]], tune: Tune, ties: str = "") -> None:
    """A note or a chord, and the time it takes: that of its first note."""
    chord = tune.tokens
    sounds = []
    for index, (text, length) in enumerate(notes):
        pitch = _pitch(voice, text)
        tie = "start" if ties[index : index + 1] == "-" else None
        if 0 <= pitch <= 127:
            end = voice.time + length
            sounds.append(Sound(voice.time, end, pitch, None, voice.overlay, False, tie, chord))
        else:
            tune.dropped["notes out of MIDI's range"] += 1
    voice.sounds += sounds
    if voice.overlay == 0:
        voice.line.append((voice.time, voice.bar))
    _advance(voice, notes[0][1], sounds)


def _chord(tune: Tune, text: str, length: str) -> None:
    notes = _NOTE.findall(text)
    if not notes:
        tune.dropped["brackets without notes"] += 1
        return
    factor = tune.voice.length(note_length(length))
    inner = [(pitch, factor * note_length(own)) for pitch, own, _ in notes]
    _sound(tune.voice, inner, tune, "".join(tie or " " for *_, tie in notes))


def _grace(voice: Voice, text: str, tune: Tune) -> None:
    for place, (pitch, _, _) in enumerate(_NOTE.findall(text)):
        sounding = _pitch(voice, pitch)
        if 0 <= sounding <= 127:
            place_in_line = -(tune.tokens * 1000 + place) - 1  # unlike every chord's
            voice.sounds.append(Sound(voice.time, voice.time, sounding, None, voice.overlay, True, None, place_in_line))
            tune.dropped["grace notes"] += 1


def _rest_bars(tune: Tune, count: int) -> None:
    voice = tune.voice
    tune.limits.check("bars", len(voice.bars) + count)
    beats, unit = voice.metre or (4, 4)
    for index in range(count):
        if index:
            _end_bar(voice)
        _advance(voice, Fraction(4 * beats, unit), [])


def _end_bar(voice: Voice) -> None:
    """A bar line; one where a bar has just begun is the same."""
    voice.accidentals.clear()
    if voice.time > voice.bar:
        voice.bars.append(voice.bar)
        voice.bar = voice.time
    voice.overlay = 0


def _bar(tune: Tune, text: str, number: str | None) -> None:
    voice = tune.voice
    _end_bar(voice)
    tune.limits.check("bars", len(voice.bars))
    if text.startswith(":"):
        voice.repeats.append(Mark(voice.time, "end"))
    if text.endswith(":") and (text.strip(":") or len(text) > 1):
        voice.repeats.append(Mark(voice.time, "start"))
    if number:
        voice.repeats.append(Mark(voice.time, "ending", endings(number)))


def _quoted(tune: Tune, text: str) -> None:
    """A chord symbol, or a remark where it begins with a place (^ above, _ below ...)."""
    symbol = text.strip()
    if not symbol or symbol[0] in "^_<>@":
        tune.dropped["text expressions"] += 1
    elif symbol.upper() in {"N.C.", "NC", "N"}:
        tune.voice.chords.append((tune.voice.time, NO_CHORD))
    elif symbol[0] in "ABCDEFG":
        tune.voice.chords.append((tune.voice.time, symbol.replace("♯", "#").replace("♭", "b")))
    else:
        tune.dropped["text expressions"] += 1


def _decoration(tune: Tune, name: str) -> None:
    voice = tune.voice
    if name in VELOCITIES:
        voice.dynamics.marks.append((voice.time, VELOCITIES[name]))
    elif name in _REPEAT_DECORATIONS:
        tune.dropped["repeat signs in words"] += 1
    else:
        tune.dropped["ornaments and articulations"] += 1
