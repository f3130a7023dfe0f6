"""MIDI file -> Score. The rules stand in midi.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, TypeVar

from musegen.errors import FileFormatError
from musegen.score.formats import repair, smf
from musegen.score.formats.midi_tracks import parts_of
from musegen.score.formats.options import ReadOptions
from musegen.score.joining import concatenate
from musegen.score.model import Chord, KeySignature, MidiEvent, Score, Tempo, Text, TimeSignature, Track

E = TypeVar("E", Tempo, TimeSignature, KeySignature)
BEYOND_REPAIR = "damaged beyond repair; save it anew with the program that made it"
Remarks = Counter[str]
"""What was repaired, and how often."""


def from_bytes(data: bytes, warn: Callable[[str], None], options: ReadOptions | None = None) -> Score:
    """Read the bytes of a MIDI file; `warn` gets a line that names and counts what had to be repaired.

    Raises:
        FileFormatError: if they are not a MIDI file that can be read, or one of more than the limits allow.
    """
    limits = (options or ReadOptions()).limits
    limits.check("bytes", len(data))
    remarks: Remarks = Counter()
    try:
        header, bodies = smf.split(data)
        limits.check("tracks", len(bodies) - 1)  # without the conductor
        events = smf.scan(bodies, limits)
    except smf.Unsound:
        header, bodies, remarks = repair.repair(data, limits)
        try:
            events = smf.scan(bodies, limits)
        except smf.Unsound:  # no file is known of which this is so
            raise FileFormatError(BEYOND_REPAIR) from None
    if header.n_tracks != len(bodies) or (header.midi_format == 0 and len(bodies) > 1):
        remarks["number of tracks in the header that is not the file's"] += 1
    if events.bare:
        remarks["running status behind a meta or sysex event"] += events.bare
    if max(events.ends) > smf.MAX_TICK:
        raise FileFormatError(f"it is {max(events.ends)} ticks long; the most that can be read is {smf.MAX_TICK}")
    words = (_words(specials, remarks) for specials in events.specials)
    chunks = list(map(_Chunk, events.ends, words, parts_of(events, limits, remarks)))
    if header.division & 0x8000:
        remarks["time in SMPTE frames, turned into quarters that last as long"] += 1
    apart = header.midi_format == 2 and len(bodies) > 1
    score = (_in_patterns if apart else _score)(header, chunks, remarks)
    limits.check_length(score)
    if remarks:
        warn("repaired: " + ", ".join(f"{count} x {what}" for what, count in sorted((+remarks).items())))
    if apart:
        warn(f"format 2: its {len(bodies)} patterns stand one after the other")
    return score


@dataclass
class _Words:
    """What the meta and sysex events of a chunk say."""

    name: str = ""
    texts: list[Text] = field(default_factory=list)
    lyrics: list[Text] = field(default_factory=list)
    markers: list[Text] = field(default_factory=list)
    tempos: list[Tempo] = field(default_factory=list)
    metres: list[TimeSignature] = field(default_factory=list)
    keys: list[KeySignature] = field(default_factory=list)
    others: list[MidiEvent] = field(default_factory=list)


@dataclass
class _Chunk:
    """A track chunk: the tick at which it ends, its words, and the arguments of a Track for each of its channels."""

    end: int
    words: _Words
    players: Sequence[dict[str, Any]]


def _words(specials: Sequence[tuple[int, int, int, bytes]], remarks: Remarks) -> _Words:
    """Sort the events of a chunk by what they say; the impossible ones are counted in `remarks`."""
    words = _Words()
    for tick, status, kind, data in specials:
        if status != smf.META:
            words.others.append(MidiEvent(tick, bytes((status,)) + data))
        elif kind in _TEXTS:
            getattr(words, _TEXTS[kind]).append(Text(tick, text_of(data)))
        elif kind == smf.NAME and words.name in ("", text_of(data)):
            words.name = text_of(data)
        elif kind == smf.PAUSE[1] and not data:
            continue
        elif kind not in _CHECKED:
            words.others.append(MidiEvent(tick, bytes((smf.META, kind)) + data))
        else:
            what, field_name, event_of = _CHECKED[kind]
            event = event_of(tick, data)
            if kind == smf.METRE and event is not None and len(data) != 4:
                remarks["metre that has not four bytes"] += 1
            if event is None:
                remarks[f"impossible {what}"] += 1
            else:
                getattr(words, field_name).append(event)
    return words


def text_of(data: bytes) -> str:
    """UTF-8, as we write it; otherwise Latin-1, as the older programs do, which loses no byte of any encoding."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _tempo(tick: int, data: bytes) -> Tempo | None:
    return Tempo(tick, int.from_bytes(data, "big")) if len(data) == 3 and any(data) else None


def _metre(tick: int, data: bytes) -> TimeSignature | None:
    if len(data) < 2 or not data[0] or data[1] > 7:
        return None
    clocks, thirty_seconds = data[2:4] if len(data) >= 4 else (0, 8)
    usual = clocks == smf.clocks_per_click(data[1])
    return TimeSignature(tick, data[0], 2 ** data[1], 0 if usual else clocks, thirty_seconds)


def _key(tick: int, data: bytes) -> KeySignature | None:
    fifths = int.from_bytes(data[:1], "big", signed=True)
    if len(data) != 2 or not -7 <= fifths <= 7 or data[1] > 1:
        return None
    return KeySignature(tick, fifths, "minor" if data[1] else "major")


def _offset(tick: int, data: bytes) -> MidiEvent | None:
    """Hours (with the frame rate in bits 5 and 6), minutes, seconds, frames, hundredths of a frame."""
    if len(data) != 5 or data[0] > 0x7F or data[0] & 0x1F > 23 or max(data[1:3]) > 59 or data[3] > 29 or data[4] > 99:
        return None
    return MidiEvent(tick, b"\xff\x54" + data)


def _of_length(kind: int, *lengths: int) -> Callable[[int, bytes], MidiEvent | None]:
    def event(tick: int, data: bytes) -> MidiEvent | None:
        return MidiEvent(tick, bytes((smf.META, kind)) + data) if len(data) in lengths else None

    return event


_TEXTS = {smf.TEXT: "texts", smf.LYRIC: "lyrics", smf.MARKER: "markers"}
_CHECKED: dict[int, tuple[str, str, Callable[[int, bytes], object | None]]] = {
    smf.TEMPO: ("tempo", "tempos", _tempo),
    smf.METRE: ("metre", "metres", _metre),
    smf.KEY: ("key", "keys", _key),
    smf.SMPTE_OFFSET: ("SMPTE offset", "others", _offset),
    0x00: ("sequence number", "others", _of_length(0x00, 0, 2)),
    0x20: ("channel prefix", "others", _of_length(0x20, 1)),
    0x21: ("port number", "others", _of_length(0x21, 0, 1)),
}
"""Meta events that may say something impossible: what they are, where they go, and their reader."""


# ---- one Score of them all -------------------------------------------------------------------------------------


def _score(header: smf.Header, chunks: Sequence[_Chunk], remarks: Remarks) -> Score:
    """A Score of some chunks, the first of which conducts."""
    conductor, words = chunks[0].words, [chunk.words for chunk in chunks]
    tracks: list[Track] = []
    for chunk in chunks:
        tracks += _tracks(chunk.players, chunk.words, conducts=chunk is chunks[0])
    chords = [text for text in conductor.texts if text.text.startswith(smf.CHORD_PREFIX)]
    ticks_per_beat, tempos = header.division, _together([said.tempos for said in words])
    if header.division & 0x8000:
        ticks_per_beat, microseconds = smf.smpte(header.division)
        if tempos:
            remarks["tempo, which SMPTE time does not heed"] += len(tempos)
        tempos = (Tempo(0, microseconds),)
    return Score(
        ticks_per_beat=ticks_per_beat,
        tracks=tuple(tracks),
        tempos=tempos,
        time_signatures=_together([said.metres for said in words]),
        key_signatures=_together([said.keys for said in words]),
        chords=tuple(Chord(text.time, text.text[len(smf.CHORD_PREFIX) :]) for text in chords),
        markers=tuple(marker for said in words for marker in said.markers),
        texts=tuple(text for text in conductor.texts if text not in chords),
        others=tuple(conductor.others),
        title=conductor.name,
        end=max(chunk.end for chunk in chunks),
    )


def _tracks(players: Sequence[dict[str, Any]], said: _Words, *, conducts: bool) -> list[Track]:
    """The Tracks of a chunk, by channel; the first one bears its lyrics and, unless it conducts, all its words."""
    words: dict[str, Any] = {}
    if said.lyrics:
        words["lyrics"] = tuple(said.lyrics)
    if not conducts:
        words.update(texts=tuple(said.texts), others=tuple(said.others))
    if not players:
        if conducts:
            return [Track(**words)] if words else []
        return [Track(name=said.name, **words)]
    first, *others = players
    return [Track(name=said.name, **words, **first), *(Track(name=said.name, **other) for other in others)]


def _together(events: Sequence[list[E]]) -> tuple[E, ...]:
    """The events of all chunks by time; of those that are said more than once, the last, which is in force."""
    merged = [event for chunk in events for event in chunk]
    if len(events) > 1:
        merged.sort(key=attrgetter("time"))
    return tuple(dict.fromkeys(reversed(merged)))[::-1]


def _in_patterns(header: smf.Header, chunks: Sequence[_Chunk], remarks: Remarks) -> Score:
    """A Score of a file of format 2, whose chunks are pieces of their own: one after the other, each marked."""
    pieces = []
    for number, chunk in enumerate(chunks, 1):
        piece = _score(header, [chunk], remarks)
        names = [event for event in piece.others if event.data[1:2] == bytes((smf.NAME,))]
        mark = f"pattern {number}: {piece.title}" if piece.title else f"pattern {number}"
        piece = replace(
            piece,
            title="",
            markers=(Text(0, mark), *piece.markers),
            texts=(*piece.texts, *(Text(event.time, text_of(event.data[2:])) for event in names)),
            others=tuple(event for event in piece.others if event not in names),
        )
        pieces.append(piece)
    return concatenate(pieces)
