"""MIDI file -> Score. The rules stand in midi.py.

symusic pairs the notes, chunk by chunk; the scan of smf.py gives what symusic does not carry: channels,
controllers of silent tracks, texts, exact tempi, the end.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import symusic

from musegen.errors import FileFormatError
from musegen.score.formats import smf
from musegen.score.formats.smf import Chunk
from musegen.score.model import (
    BEND_DTYPE,
    CONTROL_DTYPE,
    NOTE_DTYPE,
    PROGRAM_DTYPE,
    Array,
    Chord,
    KeySignature,
    Score,
    Tempo,
    Text,
    TimeSignature,
    Track,
)

_OTHER_METAS = {
    0x00: "sequence number", 0x02: "copyright notice", 0x04: "instrument name", 0x07: "cue point",
    0x08: "program name", 0x09: "device name", 0x20: "channel prefix", 0x21: "port number",
    0x54: "SMPTE offset", 0x7F: "sequencer-specific event",
}  # fmt: skip
_KEPT_METAS = frozenset({smf.TEXT, smf.NAME, smf.LYRIC, smf.MARKER, smf.TEMPO, smf.METRE, smf.KEY})


def from_bytes(data: bytes, warn: Callable[[str], None]) -> Score:
    """Read the bytes of a MIDI file; `warn` gets one line that names and counts what could not be kept.

    Raises:
        FileFormatError: if they are not a MIDI file that can be read; the text says why.
    """
    ticks_per_beat, chunks = smf.split(data)
    dropped: Counter[str] = Counter()
    tracks: list[Track] = []
    for index, chunk in enumerate(chunks):
        tracks += _tracks(chunk, ticks_per_beat, index == 0, dropped)
    conductor_texts = _texts(chunks[0], smf.TEXT)
    score = Score(
        ticks_per_beat=ticks_per_beat,
        tracks=tuple(tracks),
        tempos=tuple(dict.fromkeys(_tempos(chunks, dropped))),
        time_signatures=tuple(dict.fromkeys(_time_signatures(chunks, dropped))),
        key_signatures=tuple(dict.fromkeys(_key_signatures(chunks, dropped))),
        chords=tuple(
            Chord(text.time, text.text[len(smf.CHORD_PREFIX) :])
            for text in conductor_texts
            if text.text.startswith(smf.CHORD_PREFIX)
        ),
        markers=tuple(marker for chunk in chunks for marker in _texts(chunk, smf.MARKER)),
        texts=tuple(text for text in conductor_texts if not text.text.startswith(smf.CHORD_PREFIX)),
        title=_name(chunks[0]),
        end=max(chunk.end for chunk in chunks),
    )
    for chunk in chunks:
        _count_dropped(chunk, dropped)
    if +dropped:
        items = ", ".join(f"{count} x {what}" for what, count in sorted((+dropped).items()))
        warn(f"not kept: {items}")
    return score


def _tracks(chunk: Chunk, ticks_per_beat: int, first: bool, dropped: Counter[str]) -> list[Track]:
    """The Tracks of a chunk, by channel; the first one bears its lyrics and texts."""
    notes = _notes(chunk, ticks_per_beat)
    dropped["note without an end"] += int(_note_ons(chunk).sum()) - sum(map(len, notes.values()))
    name, lyrics = _name(chunk), tuple(_texts(chunk, smf.LYRIC))
    texts = () if first else tuple(_texts(chunk, smf.TEXT))
    kept = (chunk.kind != smf.KEY_PRESSURE) & (chunk.kind != smf.CHANNEL_PRESSURE)
    tracks: list[Track] = []
    for channel in np.unique(chunk.channel[kept]).tolist():
        program, changes = _programs(chunk, channel)
        controls = _messages(chunk, smf.CONTROL, channel)
        bends = _messages(chunk, smf.BEND, channel)
        track = Track(
            notes=notes.get(channel, np.zeros(0, NOTE_DTYPE)),
            program=program,
            is_drum=channel == smf.DRUM_CHANNEL,
            name=name,
            channel=channel,
            controls=_rows(CONTROL_DTYPE, *controls),
            bends=_rows(BEND_DTYPE, bends[0], bends[1] + bends[2] * 128 - 8192),
            program_changes=changes,
            lyrics=() if tracks else lyrics,
            texts=() if tracks else texts,
        )
        tracks.append(track)
    if tracks:
        return tracks
    if first:
        return [Track(lyrics=lyrics)] if lyrics else []
    return [Track(name=name, lyrics=lyrics, texts=texts)]


def _messages(chunk: Chunk, kind: int, channel: int) -> tuple[Array, Array, Array]:
    """Ticks and both data bytes (int64) of the messages of one kind and channel."""
    mask = chunk.status == kind | channel
    return chunk.tick[mask], chunk.data1[mask].astype(np.int64), chunk.data2[mask].astype(np.int64)


def _rows(dtype: np.dtype[Any], *columns: Array) -> Array:
    """Columns as a structured array."""
    rows = np.zeros(len(columns[0]), dtype)
    for name, column in zip(dtype.names or (), columns, strict=True):
        rows[name] = column
    return rows


def _note_ons(chunk: Chunk) -> Array:
    return np.asarray((chunk.kind == smf.NOTE_ON) & (chunk.data2 > 0))


def _programs(chunk: Chunk, channel: int) -> tuple[int, Array]:
    """The program a channel begins with, and its program changes but the one at tick 0 that says it."""
    ticks, programs, _ = _messages(chunk, smf.PROGRAM, channel)
    changes = _rows(PROGRAM_DTYPE, ticks, programs)
    of_channel = chunk.status[chunk.channel == channel]
    change = np.flatnonzero(of_channel == smf.PROGRAM | channel)
    note = np.flatnonzero(of_channel == smf.NOTE_ON | channel)
    if not len(change) or (len(note) and note[0] < change[0]):
        return 0, changes
    return int(programs[0]), changes[1:] if ticks[0] == 0 else changes


def _notes(chunk: Chunk, ticks_per_beat: int) -> dict[int, Array]:
    """The notes of each channel of a chunk (NOTE_DTYPE, in no order), paired by symusic."""
    if not _note_ons(chunk).any():
        return {}
    try:
        parsed: Any = symusic.Score.from_midi(smf.join(ticks_per_beat, [chunk.body]))
    except (RuntimeError, ValueError) as error:
        raise FileFormatError(f"damaged: {error}") from None
    found: dict[int, list[Array]] = {}
    for channel, track in _with_channels(chunk, parsed.tracks):
        columns = track.notes.numpy()
        found.setdefault(channel, []).append(
            _rows(NOTE_DTYPE, *(columns[name] for name in ("time", "pitch", "duration", "velocity")))
        )
    return {channel: np.concatenate(parts) for channel, parts in found.items()}


def _with_channels(chunk: Chunk, parsed: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Each track of symusic that has notes, with its channel, which symusic does not say.

    It makes one track for each (channel, program) that plays, in that order.
    """
    ons = np.flatnonzero(_note_ons(chunk))
    tracks = [track for track in parsed if len(track.notes)]
    if sum(len(track.notes) for track in tracks) < len(ons):
        ons = _ended(chunk)
    players: list[int] = []
    for channel in np.unique(chunk.channel[ons]).tolist():
        changes = np.flatnonzero(chunk.status == smf.PROGRAM | channel)
        programs = np.append(chunk.data1[changes], 0)  # 0 before the first: index -1 is the last
        own = ons[chunk.channel[ons] == channel]
        players += [channel] * len(np.unique(programs[np.searchsorted(changes, own) - 1]))
    if len(players) != len(tracks):
        raise FileFormatError("damaged: its notes cannot be told apart by channel")
    return zip(players, tracks, strict=True)


def _ended(chunk: Chunk) -> Array:
    """The places of the note-ons that a note-off ends, the first to begin first."""
    waiting: dict[tuple[int, int], deque[int]] = {}
    ended = []
    columns = (chunk.status.tolist(), chunk.data1.tolist(), chunk.data2.tolist())
    for place, (status, pitch, velocity) in enumerate(zip(*columns, strict=True)):
        kind, channel = status & 0xF0, status & 0x0F
        if kind == smf.NOTE_ON and velocity:
            waiting.setdefault((channel, pitch), deque()).append(place)
        elif kind in {smf.NOTE_ON, smf.NOTE_OFF} and waiting.get((channel, pitch)):
            ended.append(waiting[channel, pitch].popleft())
    return np.array(ended, np.int64)


def _name(chunk: Chunk) -> str:
    return next((_text(data) for _, kind, data in chunk.metas if kind == smf.NAME), "")


def _texts(chunk: Chunk, wanted: int) -> list[Text]:
    return [Text(tick, _text(data)) for tick, kind, data in chunk.metas if kind == wanted]


def _text(data: bytes) -> str:
    """UTF-8, as we write it; otherwise Latin-1, as the older programs do."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _metas(chunks: list[Chunk], wanted: int) -> list[tuple[int, bytes]]:
    """(tick, data) of the meta events of one kind in all chunks, sorted by tick."""
    found = [(tick, data) for chunk in chunks for tick, kind, data in chunk.metas if kind == wanted]
    return sorted(found, key=lambda event: event[0])


def _tempos(chunks: list[Chunk], dropped: Counter[str]) -> Iterator[Tempo]:
    for tick, data in _metas(chunks, smf.TEMPO):
        if len(data) == 3 and any(data):
            yield Tempo(tick, int.from_bytes(data, "big"))
        else:
            dropped["impossible tempo"] += 1


def _time_signatures(chunks: list[Chunk], dropped: Counter[str]) -> Iterator[TimeSignature]:
    for tick, data in _metas(chunks, smf.METRE):
        if len(data) >= 2 and data[0] > 0 and data[1] <= 7:
            clocks, thirty_seconds = data[2:4] if len(data) >= 4 else (0, 8)
            usual = clocks == smf.clocks_per_click(data[1])
            yield TimeSignature(tick, data[0], 2 ** data[1], 0 if usual else clocks, thirty_seconds)
        else:
            dropped["impossible metre"] += 1


def _key_signatures(chunks: list[Chunk], dropped: Counter[str]) -> Iterator[KeySignature]:
    for tick, data in _metas(chunks, smf.KEY):
        fifths = int.from_bytes(data[:1], "big", signed=True)
        if len(data) == 2 and -7 <= fifths <= 7 and data[1] <= 1:
            yield KeySignature(tick, fifths, "minor" if data[1] else "major")
        else:
            dropped["impossible key"] += 1


def _count_dropped(chunk: Chunk, dropped: Counter[str]) -> None:
    """Count the kinds of event that a Score has no place for."""
    kinds = chunk.kind
    dropped["aftertouch"] += int(((kinds == smf.KEY_PRESSURE) | (kinds == smf.CHANNEL_PRESSURE)).sum())
    dropped["sysex message"] += chunk.n_sysex
    for _, kind, _ in chunk.metas:
        if kind not in _KEPT_METAS:
            dropped[_OTHER_METAS.get(kind, "unknown meta event")] += 1
    dropped["second track name"] += max(0, sum(kind == smf.NAME for _, kind, _ in chunk.metas) - 1)
