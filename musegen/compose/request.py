"""What a user asks for: one frozen record, the same for every engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from musegen.decoding.filters import SamplingOptions
from musegen.errors import RequestError
from musegen.score.model import Score
from musegen.score.theory import Key
from musegen.tokens import STYLES

MAX_BARS = 256
TEMPO_RANGE = (20.0, 320.0)
SCALES = ("free", "strict")
COPY_RANGE = (8, 1000)


@dataclass(frozen=True)
class Request:
    """A piece to write. What is None is the model's choice.

    Attributes:
        bars: how many new bars.
        style: one of the styles the model knows.
        key: the key; with `scale` "strict" every pitch lies in it (in minor the raised sixth and seventh too).
        meter: (numerator, denominator), kept throughout.
        tempo: quarters a minute.
        instruments: (program, is_drum) of each track; empty: what the style is written for.
        pitch_range: (lowest, highest) MIDI pitch of all pitched tracks.
        polyphony: the most pitched notes that may sound at once.
        density: 1 to 10, how busy.
        motif: notes that the first track begins with, at the first bar line.
        prompt: a piece to write on from; its notes stand untouched in the result.
        from_bar: continue from this bar (counted from 1; what follows it is left out) instead of from the end.
        only_new: give back the new bars alone.
        max_copy: the most notes that the piece may share with a work of the training set, those of the motif apart;
            what shares more is drawn again. None: as it comes.
        seed: what decides every draw; the same request and seed give the same bytes.
        sampling: how tokens are chosen.
        title: the name of the piece in the file; empty for one made of style and seed.
        made_with: the command that makes this piece again; it is stored in the piece.
    """

    bars: int = 16
    style: str | None = None
    key: Key | None = None
    meter: tuple[int, int] | None = None
    tempo: float | None = None
    instruments: tuple[tuple[int, bool], ...] = ()
    scale: str = "free"
    pitch_range: tuple[int, int] | None = None
    polyphony: int | None = None
    density: int | None = None
    motif: Score | None = None
    prompt: Score | None = None
    from_bar: int | None = None
    only_new: bool = False
    max_copy: int | None = None
    seed: int = 0
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    title: str = ""
    made_with: str = ""

    def __post_init__(self) -> None:
        """Check each field and the fields against each other.

        Raises:
            RequestError: naming the field, its value and what it may be.
        """
        _within("bars", self.bars, 1, MAX_BARS)
        _within("tempo", self.tempo, *TEMPO_RANGE)
        _within("polyphony", self.polyphony, 1, 64)
        _within("density", self.density, 1, 10)
        _within("max_copy", self.max_copy, *COPY_RANGE)
        _within("seed", self.seed, 0, 2**63 - 1)
        if self.style is not None and self.style not in STYLES:
            raise RequestError(f"unknown style {self.style!r}; the styles are {', '.join(STYLES)}")
        if self.scale not in SCALES:
            raise RequestError(f"scale is {self.scale!r}; it is {' or '.join(SCALES)}")
        if self.pitch_range is not None:
            low, high = self.pitch_range
            if not 0 <= low <= high <= 127:
                raise RequestError(f"the range {low} to {high} must go upwards within MIDI pitches 0 to 127")
        if len(self.instruments) > 16 or sum(not drums for _, drums in self.instruments) > 15:
            raise RequestError("at most 15 pitched instruments and the drums fit into one MIDI file")
        if sum(drums for _, drums in self.instruments) > 1:
            raise RequestError("the drums are one track; name them once")
        if self.motif is not None and self.prompt is not None:
            raise RequestError("a motif begins a new piece and a prompt is a piece to continue; give one of them")
        if self.prompt is not None and (self.meter, self.tempo, self.instruments) != (None, None, ()):
            raise RequestError("a continuation keeps the metre, the tempo and the tracks of its piece; leave them out")
        if self.prompt is not None and self.max_copy is not None:
            raise RequestError(
                "max_copy is for new pieces: what a continuation is given may be a known work; leave it out"
            )
        if self.prompt is None and (self.from_bar is not None or self.only_new):
            raise RequestError("from_bar and only_new need a piece to continue")


def _within(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise RequestError(f"{name} is {value:g}; it goes from {low:g} to {high:g}")
