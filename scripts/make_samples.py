"""Write midi_samples/: tunes in the public domain, set down here by hand as note text, and two of our own.

    python scripts/make_samples.py            writes midi_samples/*.mid and the table in its README.md
    python scripts/make_samples.py FOLDER     writes them there

The texts are in `scripts/samples.txt`; how they are written stands at its head.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from musegen.score.formats import write
from musegen.score.instruments import parse_instrument
from musegen.score.model import (
    BEND_DTYPE,
    CONTROL_DTYPE,
    NOTE_DTYPE,
    Array,
    KeySignature,
    Score,
    Tempo,
    Text,
    TimeSignature,
    Track,
    frozen,
)
from musegen.score.motif import parse_motif
from musegen.score.theory import parse_key, parse_meter, pitch_name

TICKS = 480
ROOT = Path(__file__).resolve().parent.parent
TEXT = Path(__file__).with_name("samples.txt")
TABLE_MARK = "<!-- the table below is written by scripts/make_samples.py -->"
DRUMS = {"K": 36, "S": 38, "H": 42, "O": 46, "C": 49, "R": 51, "T": 45}  # kick, snare, hats, crash, ride, tom


@dataclass(frozen=True)
class Part:
    """One track as written: its bars, each a string of words."""

    name: str
    instrument: str
    bars: tuple[str, ...]
    velocity: int = 80
    pedal: bool = False
    lyrics: tuple[str, ...] = ()
    bends: str = ""


@dataclass(frozen=True)
class Sample:
    """One piece as written, and what must be true of it."""

    name: str
    title: str
    source: str
    year: str
    licence: str
    metres: tuple[str, ...]
    key: str
    tempo: int
    n_notes: int
    markers: tuple[str, ...] = ()
    parts: tuple[Part, ...] = field(default=())

    @property
    def n_bars(self) -> int:
        """Whole bars; a pickup stands at the end of a bar that begins with a rest."""
        return len(self.parts[0].bars)


def read_samples(text: str) -> list[Sample]:
    """Read the format that the head of samples.txt explains."""
    blocks = [block for block in text.split("\n\n") if block.strip() and not block.startswith("#")]
    return [_read_sample(block) for block in blocks]


def _read_sample(block: str) -> Sample:
    fields: dict[str, str] = {}
    parts: list[Part] = []
    for line in block.strip().splitlines():
        if line.startswith((" ", "|")):
            bars = tuple(bar.strip() for bar in line.strip().strip("|").split("|"))
            parts[-1] = _with_bars(parts[-1], bars)
        elif line.startswith("part "):
            parts.append(_read_part(line.removeprefix("part ")))
        else:
            name, _, value = line.partition(": ")
            fields[name] = value.strip()
    return Sample(
        name=fields["name"],
        title=fields["title"],
        source=fields["source"],
        year=fields["year"],
        licence=fields.get("licence", "public domain"),
        metres=tuple(fields["metre"].split()),
        key=fields["key"],
        tempo=int(fields["tempo"]),
        n_notes=int(fields["notes"]),
        markers=tuple(fields.get("markers", "").split(", ")) if "markers" in fields else (),
        parts=tuple(parts),
    )


def _read_part(line: str) -> Part:
    """`NAME; INSTRUMENT; velocity 72; pedal; lyrics: ...; bends: ...`, all but the first two as needed."""
    name, instrument, *options = (piece.strip() for piece in line.split(";"))
    found = dict(option.partition(" ")[::2] for option in options)
    return Part(
        name=name,
        instrument=instrument,
        bars=(),
        velocity=int(found.get("velocity", 80)),
        pedal="pedal" in found,
        lyrics=tuple(found.get("lyrics", "").split()),
        bends=found.get("bends", ""),
    )


def _with_bars(part: Part, bars: tuple[str, ...]) -> Part:
    return Part(part.name, part.instrument, part.bars + bars, part.velocity, part.pedal, part.lyrics, part.bends)


def bar_lines(sample: Sample) -> list[int]:
    """The ticks of all bar lines, the closing one included; the metres are taken in turn, over and over."""
    lengths = itertools.cycle(4 * TICKS * n // d for n, d in map(parse_meter, sample.metres))
    return list(itertools.accumulate(itertools.islice(lengths, sample.n_bars), initial=0))


def plain_text(sample: Sample, part: Part) -> str:
    """The part as `parse_motif` reads it: lengths repeated, holds joined, drums as pitches, bars checked."""
    words: list[tuple[str, Fraction]] = []
    lines = bar_lines(sample)
    assert len(part.bars) == sample.n_bars, f"{sample.name}: {part.name} has {len(part.bars)} bars"
    quarters = Fraction(1)
    for count, bar in enumerate(part.bars):
        sum_of_bar = Fraction(0)
        for word in bar.split():
            sound, _, length = word.partition(":")
            quarters = Fraction(length) if length else quarters
            sum_of_bar += quarters
            if sound == "_":
                words[-1] = (words[-1][0], words[-1][1] + quarters)
            else:
                words.append((_spell_drums(sound) if part.instrument == "drums" else sound, quarters))
        whole = Fraction(lines[count + 1] - lines[count], TICKS)
        assert sum_of_bar == whole, f"{sample.name}, {part.name}, bar {count + 1}: {sum_of_bar} quarters, not {whole}"
    return " ".join(f"{sound}:{length}" for sound, length in words)


def _spell_drums(sound: str) -> str:
    return sound if sound == "r" else "+".join(pitch_name(DRUMS[letter]) for letter in sound)


def build(sample: Sample) -> Score:
    """The Score of a sample."""
    lines = bar_lines(sample)
    metres = [TimeSignature(t, *parse_meter(m)) for t, m in zip(lines[:-1], itertools.cycle(sample.metres))]
    changes = [m for i, m in enumerate(metres) if i == 0 or sample.metres[1:]]
    fifths, mode = parse_key(sample.key).fifths, parse_key(sample.key).mode
    return Score(
        ticks_per_beat=TICKS,
        tracks=tuple(_build_track(sample, part) for part in sample.parts),
        tempos=(Tempo(0, round(60e6 / sample.tempo)),),
        time_signatures=tuple(changes),
        key_signatures=(KeySignature(0, fifths, mode),),
        markers=tuple(_marker(lines, marker) for marker in sample.markers),
        title=sample.title,
        end=lines[-1],
    )


def _marker(lines: list[int], marker: str) -> Text:
    bar, _, text = marker.partition(" ")
    return Text(lines[int(bar) - 1], text)


def _build_track(sample: Sample, part: Part) -> Track:
    notes = accented(parse_motif(plain_text(sample, part), TICKS, velocity=part.velocity).notes, bar_lines(sample))
    program, is_drum = parse_instrument(part.instrument)
    starts = sorted({int(start) for start in notes["start"]})
    assert not part.lyrics or len(part.lyrics) == len(starts), f"{sample.name}: {len(starts)} notes to sing"
    lines = bar_lines(sample)
    controls = [row for a, b in itertools.pairwise(lines) for row in ((a, 64, 127), (b - TICKS // 8, 64, 0))]
    bends = [(round(float(time) * TICKS), int(value)) for time, value in _pairs(part.bends)]
    return Track(
        notes=notes,
        program=program,
        is_drum=is_drum,
        name=part.name,
        controls=frozen(controls if part.pedal else [], CONTROL_DTYPE),
        bends=frozen(bends, BEND_DTYPE),
        lyrics=tuple(Text(t, word) for t, word in zip(starts, part.lyrics, strict=False) if word != "-"),
    )


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(time, value) for word in text.split() for time, _, value in [word.partition("=")]]


def accented(notes: Array, lines: list[int]) -> Array:
    """A player's first stress: the first beat of a bar a little louder, what lies between quarters softer."""
    notes = notes.copy()
    lines_of_bars = set(lines)
    for note in notes:
        on_bar, between = int(note["start"]) in lines_of_bars, int(note["start"]) % TICKS != 0
        note["velocity"] += 8 if on_bar else -6 if between else 0
    return frozen(notes, NOTE_DTYPE)


def table(samples: list[Sample]) -> str:
    """The list of the samples in Markdown."""
    head = "| file | title | metre | key | bars | notes | tracks | source | year | licence of the music |\n"
    rule = "|---|---|---|---|---|---|---|---|---|---|\n"
    rows = (
        f"| {s.name}.mid | {s.title} | {', '.join(s.metres)} | {s.key} | {s.n_bars} | {s.n_notes} "
        f"| {', '.join(part.name for part in s.parts)} | {s.source} | {s.year} | {s.licence} |\n"
        for s in samples
    )
    return head + rule + "".join(rows)


def main() -> None:
    """Write every sample; with no folder given, also the table in the README."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "midi_samples"
    samples = read_samples(TEXT.read_text(encoding="utf-8"))
    for sample in samples:
        score = build(sample)
        assert score.n_notes == sample.n_notes, f"{sample.name}: {score.n_notes} notes, not {sample.n_notes}"
        write(score, folder / f"{sample.name}.mid", force=True)
        print(folder / f"{sample.name}.mid")
    readme = folder / "README.md"
    if readme.exists():
        kept = readme.read_text(encoding="utf-8").partition(TABLE_MARK)[0]
        readme.write_text(f"{kept}{TABLE_MARK}\n\n{table(samples)}", encoding="utf-8")


if __name__ == "__main__":
    main()
