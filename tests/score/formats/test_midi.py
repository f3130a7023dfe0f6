"""Scores through MIDI bytes and back."""

import contextlib
import io
from dataclasses import replace
from random import Random

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musegen.errors import FileFormatError
from musegen.score import timing
from musegen.score.formats import midi, smf
from musegen.score.formats.midi_writer import channels
from musegen.score.formats.options import Limits, ReadOptions, WriteOptions
from musegen.score.model import (
    BEND_DTYPE,
    CONTROL_DTYPE,
    NOTE_DTYPE,
    PRESSURE_DTYPE,
    PROGRAM_DTYPE,
    Chord,
    KeySignature,
    MidiEvent,
    Score,
    Tempo,
    Text,
    TimeSignature,
    Track,
    frozen,
)
from tests.strategies import UNLIMITED, scores


def no_warning(text: str) -> None:
    pytest.fail(f"warned: {text}")


def read(data: bytes) -> Score:
    return midi.from_bytes(data, no_warning, UNLIMITED)


def of_messages(*tracks: list[mido.Message | mido.MetaMessage], midi_format: int = 1) -> bytes:
    """The bytes that mido writes; times are waits."""
    file = mido.MidiFile(type=midi_format, ticks_per_beat=480)
    file.tracks.extend(mido.MidiTrack(track) for track in tracks)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def on(pitch: int, wait: int = 0, channel: int = 0, velocity: int = 64) -> mido.Message:
    return mido.Message("note_on", note=pitch, time=wait, channel=channel, velocity=velocity)


def off(pitch: int, wait: int = 0, channel: int = 0) -> mido.Message:
    return mido.Message("note_off", note=pitch, time=wait, channel=channel)


def program(number: int, wait: int = 0, channel: int = 0) -> mido.Message:
    return mido.Message("program_change", program=number, time=wait, channel=channel)


def one_note(**fields: int) -> Track:
    values = {"start": 0, "pitch": 60, "duration": 480, "velocity": 64, **fields}
    return Track(frozen([tuple(values[name] for name in ("start", "pitch", "duration", "velocity"))], NOTE_DTYPE))


# ---- there and back ------------------------------------------------------------------------------------------


@given(scores())
def test_every_score_is_read_as_it_was_written(score: Score) -> None:
    assert read(midi.to_bytes(score)) == score


@given(scores(max_tracks=2, max_notes=6))
def test_mido_reads_what_we_write(score: Score) -> None:
    file = mido.MidiFile(file=io.BytesIO(midi.to_bytes(score)), charset="utf-8")
    assert file.type == 1
    assert len(file.tracks) == len(score.tracks) + 1
    assert all(sum(message.time for message in track) == score.end for track in file.tracks)
    ons = [m for track in file.tracks for m in track if m.type == "note_on"]
    assert len(ons) == score.n_notes
    sounding: set[tuple[int, int]] = set()
    for track in file.tracks:
        for message in track:
            if message.type == "note_off":
                sounding.discard((message.channel, message.note))
    assert not sounding


def test_everything_a_file_holds_is_read() -> None:
    conductor = [
        mido.MetaMessage("track_name", name="A song"),
        mido.MetaMessage("set_tempo", tempo=483_871),
        mido.MetaMessage("time_signature", numerator=6, denominator=8),
        mido.MetaMessage("key_signature", key="F#m"),
        mido.MetaMessage("text", text="chord: Bm"),
        mido.MetaMessage("text", text="free"),
        mido.MetaMessage("marker", text="Verse", time=480),
        mido.MetaMessage("set_tempo", tempo=600_001, time=5),
    ]
    voice = [
        mido.MetaMessage("track_name", name="Voice"),
        program(52, channel=4),
        mido.Message("control_change", control=64, value=127, channel=4),
        mido.Message("pitchwheel", pitch=-8192, channel=4),
        mido.MetaMessage("lyrics", text="la"),
        on(60, channel=4),
        program(53, 100, channel=4),
        mido.MetaMessage("text", text="here"),
        off(60, 380, channel=4),
        mido.MetaMessage("end_of_track", time=1000),
    ]
    score = read(of_messages(conductor, voice))
    assert score == Score(
        480,
        (
            Track(
                frozen([(0, 60, 480, 64)], NOTE_DTYPE),
                program=52,
                name="Voice",
                channel=4,
                controls=frozen([(0, 64, 127)], CONTROL_DTYPE),
                bends=frozen([(0, -8192)], BEND_DTYPE),
                program_changes=frozen([(100, 53)], PROGRAM_DTYPE),
                lyrics=(Text(0, "la"),),
                texts=(Text(100, "here"),),
            ),
        ),
        tempos=(Tempo(0, 483_871), Tempo(485, 600_001)),
        time_signatures=(TimeSignature(0, 6, 8, clocks_per_click=24),),
        key_signatures=(KeySignature(0, 3, "minor"),),
        chords=(Chord(0, "Bm"),),
        markers=(Text(480, "Verse"),),
        texts=(Text(0, "free"),),
        title="A song",
        end=1480,
    )


# ---- the rules of reading ------------------------------------------------------------------------------------


def test_a_chunk_gives_a_track_for_each_channel() -> None:
    mixed = [
        program(5, channel=3), program(5, channel=1), on(60, channel=3), on(61, channel=1), on(36, channel=9),
        off(61, 10, channel=1), off(60, 10, channel=3), off(36, channel=9), program(6, channel=3),
        mido.MetaMessage("lyrics", text="la"), on(62, channel=3), off(62, 5, channel=3),
    ]  # fmt: skip
    score = read(of_messages([mido.MetaMessage("track_name", name="All"), *mixed], midi_format=0))
    assert [(t.channel, t.program, t.is_drum, t.name) for t in score.tracks] == [
        (1, 5, False, "All"), (3, 5, False, "All"), (9, 0, True, "All"),
    ]  # fmt: skip
    assert score.tracks[1].notes.tolist() == [(0, 60, 20, 64), (20, 62, 5, 64)]
    assert score.tracks[1].program_changes.tolist() == [(20, 6)]
    assert score.tracks[0].lyrics == (Text(20, "la"),)
    assert score.title == "All"


@given(st.randoms(use_true_random=False))
def test_notes_pair_first_in_first_out_by_channel(random: Random) -> None:
    waiting: dict[tuple[int, int], list[tuple[int, int]]] = {}
    expected, messages, tick = [], [], 0
    idle = 0
    for _ in range(random.randint(1, 40)):
        wait = random.choice([0, 0, 1, 300])
        tick += wait
        channel, pitch, kind = random.choice([0, 1, 9]), random.randint(60, 61), random.random()
        if kind < 0.45:
            velocity = random.randint(1, 127)
            messages.append(on(pitch, wait, channel, velocity))
            waiting.setdefault((channel, pitch), []).append((tick, velocity))
        elif kind < 0.85:
            messages.append(off(pitch, wait, channel) if kind < 0.65 else on(pitch, wait, channel, 0))
            if waiting.get((channel, pitch)):
                start, velocity = waiting[channel, pitch].pop(0)
                expected.append((channel, start, pitch, tick - start, velocity))
            else:
                idle += 1
        else:
            messages.append(program(random.randint(0, 2), wait, channel))
    for (channel, pitch), notes in waiting.items():  # each has its end
        for start, velocity in notes:
            messages.append(off(pitch, 1, channel))
            tick += 1
            expected.append((channel, start, pitch, tick - start, velocity))
    said: list[str] = []
    score = midi.from_bytes(of_messages(messages), said.append)
    found = [(track.channel, *note) for track in score.tracks for note in track.notes.tolist()]
    assert sorted(found) == sorted(expected)
    assert said == ([f"repaired: {idle} x note-off without a note"] if idle else [])


@pytest.mark.parametrize(
    ("events", "notes"),
    [
        ("+0", [(0, 20)]),
        ("+0 +5 +9", [(0, 5), (5, 4), (9, 11)]),
        ("+0 +5 -9", [(0, 5), (5, 4)]),
        ("+0 -5 +9", [(0, 5), (9, 11)]),
        ("+0 +0 -7", [(0, 7), (0, 7)]),
        ("+3 -3 +4", [(3, 0), (4, 16)]),
        ("-1 +2 +3 -4", [(2, 1), (3, 1)]),
    ],
)
def test_a_note_without_an_end_ends_with_the_next_of_its_pitch_or_the_track(
    events: str, notes: list[tuple[int, int]]
) -> None:
    body, now = b"", 0
    for event in events.split():
        kind, tick = event[0], int(event[1:])
        body += bytes((tick - now, 0x90, 60, 64 if kind == "+" else 0))
        now = tick
    for other in (b"", bytes((0, 0x91, 60, 64, 0, 0x81, 60, 64))):  # alone, and beside another channel
        said: list[str] = []
        score = midi.from_bytes(smf.join(48, [other + body + bytes((20 - now,)) + b"\xff\x2f\0"]), said.append)
        track = next(track for track in score.tracks if track.channel == 0)
        assert [(start, duration) for start, _, duration, _ in track.notes.tolist()] == notes
        assert "x note without an end" in said[0]


def test_the_program_is_the_first_change_before_a_note() -> None:
    late = read(of_messages([program(7, 10), on(60, 5), off(60, 5)])).tracks[0]
    assert (late.program, late.program_changes.tolist()) == (7, [(10, 7)])
    after = read(of_messages([on(60), off(60, 5), program(7)])).tracks[0]
    assert (after.program, after.program_changes.tolist()) == (0, [(5, 7)])


def test_lyrics_of_a_conductor_become_a_track() -> None:
    score = read(of_messages([mido.MetaMessage("lyrics", text="la", time=7)], [on(60), off(60, 5)]))
    assert score.tracks[0] == Track(lyrics=(Text(7, "la"),))
    assert read(midi.to_bytes(score)) == score


def test_chunks_that_play_nothing_stay() -> None:
    words = [mido.MetaMessage("track_name", name="Words"), mido.MetaMessage("text", text="@KMIDI")]
    score = read(of_messages([], words, []))
    assert score.tracks == (Track(name="Words", texts=(Text(0, "@KMIDI"),)), Track())
    assert read(midi.to_bytes(score)) == score


def test_what_several_chunks_say_alike_is_said_once() -> None:
    said = [mido.MetaMessage("key_signature", key="D"), mido.MetaMessage("set_tempo", tempo=400_000)]
    score = read(of_messages(said, [*said, on(60), off(60, 5)]))
    assert score.key_signatures == (KeySignature(0, 2, "major"),)
    assert score.tempos == (Tempo(0, 400_000),)


def test_controllers_of_one_tick_keep_their_order() -> None:
    numbers = [(101, 0), (100, 0), (6, 12), (64, 127), (64, 0)]
    score = read(of_messages([mido.Message("control_change", control=n, value=v) for n, v in numbers]))
    assert score.tracks[0].controls.tolist() == [(0, number, value) for number, value in numbers]
    assert read(midi.to_bytes(score)) == score


def test_texts_are_utf_8_or_latin_1() -> None:
    body = smf.meta(smf.MARKER, "Übung ♯".encode()) + b"\0" + smf.meta(smf.MARKER, "Übung".encode("latin-1"))
    score = read(smf.join(480, [b"\0" + body + b"\0\xff\x2f\0"]))
    assert score.markers == (Text(0, "Übung ♯"), Text(0, "Übung"))


def test_every_other_event_is_kept_as_it_is() -> None:
    conductor = [
        mido.MetaMessage("copyright", text="me"), mido.Message("sysex", data=(1, 2)),
        mido.MetaMessage("smpte_offset", frame_rate=25, hours=1, minutes=2, seconds=3, frames=4, sub_frames=5),
    ]  # fmt: skip
    odd = [
        mido.MetaMessage("midi_port", port=1), mido.MetaMessage("track_name", name="a"),
        mido.MetaMessage("track_name", name="b"), mido.MetaMessage("track_name", name="a"),
        mido.Message("aftertouch", value=3), on(60), mido.Message("polytouch", note=60, value=9, time=1),
        mido.Message("aftertouch", value=4), mido.MetaMessage("cue_marker", text="Q"),
        mido.UnknownMetaMessage(0x60, data=(1,), time=2), mido.MetaMessage("sequencer_specific", data=(7, 8)),
        mido.Message("note_off", note=60, velocity=9, time=1), on(61), off(61, 1),
    ]  # fmt: skip
    score = read(of_messages(conductor, odd))
    assert score.others == (
        MidiEvent(0, b"\xff\x02me"), MidiEvent(0, b"\xf0\1\2\xf7"), MidiEvent(0, b"\xff\x54\x21\2\3\4\5"),
    )  # fmt: skip
    [track] = score.tracks
    assert track.others == (
        MidiEvent(0, b"\xff\x21\1"), MidiEvent(0, b"\xff\x03b"), MidiEvent(1, b"\xff\x07Q"),
        MidiEvent(3, b"\xff\x60\1"), MidiEvent(3, b"\xff\x7f\7\x08"),
    )  # fmt: skip
    assert track.pressures.tolist() == [(0, -1, 3), (1, 60, 9), (1, -1, 4)]
    assert track.releases.tolist() == [(4, 60, 9)]
    assert read(midi.to_bytes(score)) == score


def test_what_is_impossible_is_left_out_and_counted() -> None:
    odd = [
        mido.UnknownMetaMessage(0x51, data=(0, 0, 0)), mido.UnknownMetaMessage(0x51, data=(7, 0)),
        mido.UnknownMetaMessage(0x58, data=(0, 2, 24, 8)), mido.UnknownMetaMessage(0x58, data=(4, 255, 24, 8)),
        mido.UnknownMetaMessage(0x59, data=(9, 0)), mido.UnknownMetaMessage(0x59, data=(0, 2)),
        mido.UnknownMetaMessage(0x54, data=(1, 60, 0, 0, 0)), mido.UnknownMetaMessage(0x20, data=(1, 2)),
        on(60), off(60, 1),
    ]  # fmt: skip
    said: list[str] = []
    score = midi.from_bytes(of_messages(odd), said.append)
    counted = "1 x impossible SMPTE offset, 1 x impossible channel prefix, 2 x impossible key, 2 x impossible metre, "
    assert said == [f"repaired: {counted}2 x impossible tempo"]
    assert (score.tempos, score.time_signatures, score.key_signatures, score.tracks[0].others) == ((), (), (), ())


def test_smpte_time_is_read_in_seconds() -> None:
    body = b"\0\xff\x51\3\1\2\3" + bytes((0, 0x90, 60, 64, 0x87, 0x68, 0x80, 60, 64)) + b"\0\xff\x2f\0"
    said: list[str] = []
    score = midi.from_bytes(smf.join(0xE728, [body]), said.append)  # 25 frames of 40 ticks; a note of 1000 ticks
    assert timing.seconds(score) == 1.0
    tempo, frames = (
        "tempo, which SMPTE time does not heed",
        "time in SMPTE frames, turned into quarters that last as long",
    )
    assert said == [f"repaired: 1 x {tempo}, 1 x {frames}"]


def test_the_patterns_of_format_2_stand_one_after_the_other() -> None:
    fast, slow = (
        smf.meta(smf.TEMPO, tempo.to_bytes(3, "big")) + bytes((0, 0x90, 60, 64, 96, 60, 0)) + b"\x60\xff\x2f\0"
        for tempo in (300_000, 600_000)
    )
    said: list[str] = []
    score = midi.from_bytes(smf.join(96, [b"\0" + fast, b"\0" + slow], midi_format=2), said.append)
    assert said == ["format 2: its 2 patterns stand one after the other"]
    assert [track.notes["start"].tolist() for track in score.tracks] == [[0, 192]]
    assert score.tempos == (Tempo(0, 300_000), Tempo(192, 600_000))
    assert score.markers == (Text(0, "pattern 1"), Text(192, "pattern 2"))
    assert score.end == 384


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(bytes=20), r"too much: \d+ bytes, where 20 are allowed \(--limit bytes=\d+ allows it\)"),
        (Limits(tracks=1), "2 tracks, where 1"),
        (Limits(notes=1), "2 notes, where 1"),
        (Limits(events=2), "events, where 2"),
        (Limits(bars=3), "4 bars, where 3"),
        (Limits(seconds=7), "8 seconds, where 7"),
    ],
)
def test_what_holds_too_much_is_refused_and_may_be_allowed(limits: Limits, said: str) -> None:
    data = midi.to_bytes(Score(480, (one_note(), one_note(start=480 * 15))))
    with pytest.raises(FileFormatError, match=said) as caught:
        midi.from_bytes(data, no_warning, ReadOptions(limits))
    name, _, number = str(caught.value).partition("--limit ")[2].split(" ")[0].partition("=")
    assert getattr(limits, name) < int(number)
    midi.from_bytes(data, no_warning, ReadOptions(Limits().raised((f"{name}={number}",))))


@pytest.mark.parametrize("event", [b"\0\xff\1\0", b"\0\xc0\1", b"\0\xf8", b"\0\xf0\xff\xff\xff\x7f"])
def test_what_is_read_one_by_one_is_counted_while_it_is_read(event: bytes) -> None:
    data = smf.join(480, [event * 301 + b"\0\xff\x2f\0"])
    with pytest.raises(FileFormatError, match=r"more than 300 singles \(--limit singles=NUMBER allows more\)"):
        midi.from_bytes(data, no_warning, ReadOptions(Limits(singles=300)))
    midi.from_bytes(data, lambda _: None)


def test_a_number_of_a_million_bytes_is_not_worked_out() -> None:
    said: list[str] = []
    body = b"\x80" * 1_000_000 + b"\5\x90\x3c\x40" + b"\xff" * 1_000_000 + b"\0\x80\x3c\x40\0\xff\x2f\0"
    score = midi.from_bytes(smf.join(480, [body]), said.append)
    assert score.tracks[0].notes.tolist() == [(5, 60, 0, 64)]
    assert said == ["repaired: 2 x wait of more than four bytes"]


def test_all_that_is_too_much_is_told_at_once() -> None:
    data = midi.to_bytes(Score(480, (one_note(), one_note(start=480 * 15))))
    with pytest.raises(FileFormatError, match="too much: 4 bars and 8 seconds, where 3 and 7 are allowed") as caught:
        midi.from_bytes(data, no_warning, ReadOptions(Limits(bars=3, seconds=7)))
    assert str(caught.value).endswith("(--limit bars=4 --limit seconds=8 allows it)")


def test_all_notes_off_ends_notes_without_an_end() -> None:
    body = (
        bytes((0, 0x90, 60, 64, 0, 0x91, 61, 64, 9, 0xB0, 123, 0, 0, 0x90, 62, 64, 5, 0xB0, 120, 0)) + b"\5\xff\x2f\0"
    )
    score = midi.from_bytes(smf.join(480, [body]), lambda _: None)
    assert [track.notes.tolist() for track in score.tracks] == [
        [(0, 60, 9, 64), (9, 62, 5, 64)], [(0, 61, 19, 64)],
    ]  # fmt: skip


def test_the_last_of_several_tempi_at_one_tick_is_in_force() -> None:
    body = b"".join(b"\0" + smf.meta(smf.TEMPO, bytes((tempo, 0, 0))) for tempo in (5, 6, 5)) + b"\0\xff\x2f\0"
    score = read(smf.join(480, [body]))
    assert score.tempos[-1] == Tempo(0, 5 << 16) and read(midi.to_bytes(score)) == score


def test_two_notes_an_age_apart_cost_nothing() -> None:
    body = bytes((0, 0x90, 60, 64, 0xFF, 0xFF, 0xFF, 0x7F, 0x80, 60, 64)) + b"\0\xff\x2f\0"
    with pytest.raises(FileFormatError, match="139810 bars and 279621 seconds, where 20000"):
        midi.from_bytes(smf.join(480, [body]), no_warning)
    with pytest.raises(FileFormatError, match="the most that can be read is 2147483647"):
        read(smf.join(480, [b"\xff\xff\xff\x7f\xff\x01\x00" * 9 + b"\0\xff\x2f\0"]))


@given(st.binary(max_size=60))
def test_no_other_error_escapes(body: bytes) -> None:
    with contextlib.suppress(FileFormatError):
        score = midi.from_bytes(smf.join(96, [body]), lambda _: None)
        assert read(midi.to_bytes(score)) == score


# ---- writing -------------------------------------------------------------------------------------------------


def test_notes_end_before_others_begin_and_the_bytes_are_these() -> None:
    track = Track(frozen([(0, 60, 10, 64), (10, 60, 5, 65)], NOTE_DTYPE), channel=2, program=3)
    expected = smf.join(
        96, [b"\x0f\xff\x2f\0", b"\0\xc2\x03\0\x92\x3c\x40\x0a\x82\x3c\x40\0\x92\x3c\x41\x05\x82\x3c\x40\0\xff\x2f\0"]
    )
    assert midi.to_bytes(Score(96, (track,))) == expected


def test_melodic_tracks_go_round_fifteen_channels() -> None:
    tracks = [Track(program=n) for n in range(14)] + [Track(is_drum=True), Track(channel=5, program=99)]
    assert channels(Score(480, tuple(tracks))) == [0, 1, 2, 3, 4, 6, 7, 8, 10, 11, 12, 13, 14, 15, 9, 5]


def test_more_tracks_share_a_channel_by_program() -> None:
    tracks = [Track(program=n % 4) for n in range(20)]
    assert channels(Score(480, tuple(tracks))) == [0, 1, 2, 3] * 5
    many = channels(Score(480, tuple(Track(program=n) for n in range(31))))
    assert many[:15] == many[15:30]
    assert 9 not in many
    full = tuple(Track(channel=n) for n in range(16) if n != 9)
    assert channels(Score(480, (*full, Track(program=7)))) == [n for n in range(16) if n != 9] + [0]


def test_a_melodic_track_does_not_stay_on_the_drums_channel() -> None:
    assert channels(Score(480, (Track(channel=9), Track(is_drum=True, channel=3)))) == [0, 9]


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (Score(40_000), "40000 ticks per beat do not fit"),
        (Score(tracks=(one_note(pitch=128),)), "track 1: pitch 128 is out of range; it goes from 0 to 127"),
        (Score(tracks=(one_note(velocity=0),)), "track 1: velocity 0 is out of range; it goes from 1 to 127"),
        (Score(tracks=(Track(), one_note(start=-1))), "track 2: time -1 is out of range"),
        (Score(tracks=(one_note(duration=-1),)), "track 1: duration -1"),
        (Score(tracks=(Track(program=128),)), "track 1: program 128"),
        (Score(tracks=(Track(channel=16),)), "track 1: channel 16"),
        (Score(tracks=(Track(bends=np.array([(0, 9000)], BEND_DTYPE)),)), "track 1: pitch bend 9000"),
        (Score(tracks=(Track(controls=np.array([(0, 200, 0)], CONTROL_DTYPE)),)), "controller number 200"),
        (Score(tracks=(Track(lyrics=(Text(-5, "la"),)),)), "something stands at tick -5"),
        (Score(markers=(Text(-5, "la"),)), "something stands at tick -5"),
        (Score(tracks=(Track(pressures=np.array([(0, 60, 128)], PRESSURE_DTYPE)),)), "track 1: aftertouch 128"),
        (Score(others=(MidiEvent(0, b"\x90\1\1"),)), "an event that begins with 9001 has no place"),
        (Score(tempos=(Tempo(0, 2**24),)), "a tempo of 16777216 microseconds a quarter does not fit"),
        (Score(time_signatures=(TimeSignature(0, 5, 7),)), "a metre of 5/7 does not fit"),
        (Score(key_signatures=(KeySignature(0, 8, "major"),)), "a key of 8 fifths major does not fit"),
    ],
)
def test_what_does_not_fit_a_file_is_refused(score: Score, said: str) -> None:
    with pytest.raises(FileFormatError, match=said):
        midi.to_bytes(score)


def test_events_past_the_end_move_it() -> None:
    score = Score(480, (replace(one_note(), lyrics=(Text(2000, "la"),), channel=0),))
    assert read(midi.to_bytes(score)).end == 2000


def test_a_wait_too_long_for_the_format_is_cut() -> None:
    late = 2 * smf.MAX_DELTA + 5
    score = Score(480, (replace(one_note(start=late), channel=0), replace(one_note(), channel=1)), end=smf.MAX_TICK)
    data = midi.to_bytes(score)
    assert data.count(smf.PAUSE) == 8 + (2 + 5) + 7
    assert read(data) == score
    assert len(mido.MidiFile(file=io.BytesIO(data)).tracks) == 3


def test_format_0_holds_all_in_one_chunk() -> None:
    tracks = tuple(replace(one_note(pitch=60 + n), channel=n, program=n, name=f"part {n}") for n in range(3))
    score = Score(480, tracks, title="All", tempos=(Tempo(0, 400_000),))
    said: list[str] = []
    data = midi.to_bytes(score, WriteOptions(midi_format=0), said.append)
    assert data[8:12] == b"\0\0\0\1"
    assert said == ["format 0 has one track, so the names of the tracks are not written"]
    assert read(data) == replace(score, tracks=tuple(replace(track, name="All") for track in tracks))


@given(scores())
def test_format_0_keeps_every_note(score: Score) -> None:
    again = read(midi.to_bytes(score, WriteOptions(midi_format=0)))
    kept = {track.channel: track.notes.tolist() for track in again.tracks if len(track.notes)}
    assert kept == {track.channel: track.notes.tolist() for track in score.tracks if len(track.notes)}
    assert (again.tempos, again.chords, again.end) == (score.tempos, score.chords, score.end)
