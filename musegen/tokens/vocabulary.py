"""The vocabulary: one table of token types, each a block of consecutive ids.

A token is a type and a value; `Vocabulary.id("Pitch", 60)` is its id and `names[id]` its name, "Pitch_60".
Every later need has its words here already, so that trained weights never lack one:

    special       PAD, BOS, EOS, and MASK and FILL, the marks of fill-in-the-middle (Bavarian et al. 2022)
    head          Style, Key, Metre, Tempo, Bars, Density, Polyphony, LOW and HIGH (each before a Pitch), Instrument
    frame         Bar (how many bars are left after it); Metre, Tempo and Key again where they change
    harmony       Chord, Bass
    notes         Track, Position, Velocity, Duration, Pitch, Add; Drum and DrumAdd on a percussion track

The order of the blocks is the order in which the grammar lets them follow each other within a bar.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

STEPS_PER_QUARTER = 24
"""The time grid: 24 steps a quarter hold 32nds and triplets of 16ths; docs/decisions.md has the table."""

MAX_BAR_STEPS = 8 * STEPS_PER_QUARTER
MAX_TRACKS = 16
"""As many as MIDI has channels: fifteen melodic ones and the percussion."""

MAX_BARS_LEFT = 64
"""Bar_64 says that 64 or more bars are left."""

DURATIONS: tuple[int, ...] = tuple(
    sorted(
        {
            *range(1, 49),
            54,
            56,
            60,
            64,
            66,
            72,
            78,
            80,
            84,
            88,
            90,
            96,
            *range(108, 193, 12),
            *range(216, 385, 24),
        }
    )
)
"""Durations in steps: each one to two quarters, then the written values and their dots up to two long bars."""

METRES: tuple[tuple[int, int], ...] = tuple(
    (numerator, denominator)
    for denominator, largest in ((1, 2), (2, 4), (4, 8), (8, 16), (16, 24), (32, 24))
    for numerator in range(1, largest + 1)
)
"""(numerator, denominator), none longer than eight quarters."""

TEMPI: tuple[int, ...] = tuple(round(20 * 2 ** (k / 12)) for k in range(49))
"""Quarters a minute, 20 to 320 in steps of six per cent."""

STYLES: tuple[str, ...] = (
    *(
        "folk",
        "chorale",
        "hymn",
        "song",
        "piano",
        "quartet",
        "chamber",
        "choir",
        "guitar",
        "orchestra",
        "organ",
        "drums",
    ),
    *(
        "dance",
        "jig",
        "reel",
        "hornpipe",
        "waltz",
        "march",
        "polka",
        "mazurka",
        "pop",
        "rock",
        "jazz",
        "funk",
    ),
    *("latin", "blues", "game", "user-1", "user-2", "user-3", "user-4", "user-5", "user-6"),
)
"""The last six are for fine-tuning."""

QUALITIES: tuple[str, ...] = (
    *("", "m", "7", "maj7", "m7", "dim", "dim7", "m7b5", "aug", "sus4", "sus2", "6", "m6", "mmaj7"),
)
"""Chord qualities as they are written after the root."""

NO_CHORD = 0
"""Chord_0 is "no chord"; Chord_(1 + 14 * root + quality) the others."""

DRUM_PROGRAM = 128
"""Instrument_128 is the percussion; 0 to 127 are General MIDI programs."""

VELOCITY_CLASS = 8
"""Velocities are kept in sixteen classes of eight."""

KEYS: tuple[tuple[int, str], ...] = tuple((f, mode) for mode in ("major", "minor") for f in range(-7, 8))
"""(fifths, mode), as in a MIDI key signature."""

N_DENSITIES = 10
N_POLYPHONIES = 10


@dataclass(frozen=True)
class Block:
    """The ids `start` to `stop - 1` of one token type; value v has the id start + v."""

    name: str
    start: int
    size: int

    @cached_property
    def stop(self) -> int:
        """One past the last id."""
        return self.start + self.size

    @cached_property
    def slice(self) -> slice:
        """The block's columns in a row of logits."""
        return slice(self.start, self.stop)


_SIZES: tuple[tuple[str, int], ...] = (
    ("PAD", 1),
    ("BOS", 1),
    ("EOS", 1),
    ("MASK", 1),
    ("FILL", 1),
    ("Style", len(STYLES)),
    ("Key", len(KEYS)),
    ("Metre", len(METRES)),
    ("Tempo", len(TEMPI)),
    ("Bars", MAX_BARS_LEFT + 1),
    ("Density", N_DENSITIES),
    ("Polyphony", N_POLYPHONIES),
    ("LOW", 1),
    ("HIGH", 1),
    ("Instrument", DRUM_PROGRAM + 1),
    ("Bar", MAX_BARS_LEFT + 1),
    ("Chord", 1 + 12 * len(QUALITIES)),
    ("Bass", 12),
    ("Track", MAX_TRACKS),
    ("Position", MAX_BAR_STEPS),
    ("Velocity", 128 // VELOCITY_CLASS),
    ("Duration", len(DURATIONS)),
    ("Pitch", 128),
    ("Add", 128),
    ("Drum", 128),
    ("DrumAdd", 128),
)


class Vocabulary:
    """The table of blocks and what follows from it.

    Attributes:
        blocks: the Block of each type by name.
        size: how many ids there are, V.
        types: (V,) the index of each id's type in the order of `blocks`.
        values: (V,) each id's value within its block.
    """

    def __init__(self) -> None:
        self.blocks: dict[str, Block] = {}
        start = 0
        for name, size in _SIZES:
            self.blocks[name] = Block(name, start, size)
            start += size
        self.size = start
        self.types: npt.NDArray[np.int16] = np.repeat(
            np.arange(len(_SIZES), dtype=np.int16), [size for _, size in _SIZES]
        )
        self.values: npt.NDArray[np.int16] = np.concatenate([np.arange(size, dtype=np.int16) for _, size in _SIZES])
        self.type_index: dict[str, int] = {name: i for i, (name, _) in enumerate(_SIZES)}

    def id(self, name: str, value: int = 0) -> int:
        """The id of a token; raises KeyError or IndexError where there is none."""
        block = self.blocks[name]
        if not 0 <= value < block.size:
            raise IndexError(f"{name} has the values 0 to {block.size - 1}, not {value}")
        return block.start + value

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every token's name: the type, and its value where the type has more than one."""
        return tuple(
            block.name if block.size == 1 else f"{block.name}_{_label(block.name, value)}"
            for block in self.blocks.values()
            for value in range(block.size)
        )

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change with any word: weights fit only the table they were trained on."""
        return hashlib.sha256("\n".join(self.names).encode()).hexdigest()[:12]


def _label(name: str, value: int) -> str:
    """How a value is written in a token's name: in the words of music where it has some."""
    tables: dict[str, tuple[object, ...]] = {"Style": STYLES, "Tempo": TEMPI, "Duration": DURATIONS}
    if name in tables:
        return str(tables[name][value])
    if name == "Metre":
        return "{}/{}".format(*METRES[value])
    if name == "Key":
        return f"{KEYS[value][1]}{KEYS[value][0]:+d}"
    if name == "Chord" and value != NO_CHORD:
        root, quality = divmod(value - 1, len(QUALITIES))
        return f"{PITCH_CLASSES[root]}{QUALITIES[quality]}"
    return str(value + 1) if name in ("Bars", "Density", "Polyphony") else str(value)


PITCH_CLASSES: tuple[str, ...] = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

VOCABULARY = Vocabulary()
"""The one table that every tokenizer, grammar and model of this version shares."""
