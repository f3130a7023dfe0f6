"""What a user asks for: one frozen record, the same for every engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from musegen.compose.harmony import Harmony, parse_chords
from musegen.decoding.filters import SamplingOptions
from musegen.errors import RequestError
from musegen.score import timing
from musegen.score.model import Score
from musegen.score.theory import Key
from musegen.tokens import STYLES

MAX_BARS = 256
TEMPO_RANGE = (20.0, 320.0)
SCALES = ("free", "strict")
COPY_RANGE = (8, 1000)
STYLE_INSTRUMENTS: dict[str, tuple[tuple[int, bool], ...]] = {
    "folk": ((73, False),),
    "chorale": ((52, False),) * 4,
    "hymn": ((52, False),) * 4,
    "choir": ((52, False),) * 4,
    "song": ((53, False), (0, False), (0, False)),
    "piano": ((0, False), (0, False)),
    "quartet": ((40, False), (40, False), (41, False), (42, False)),
    "guitar": ((24, False),),
    "organ": ((19, False), (19, False)),
    "drums": ((0, True),),
}
"""What a style is written for when no instrument is asked for, (program, is_drum) as most of its training pieces; a
piano for others."""
STYLE_GUIDANCE = {"folk": 1.5, "chorale": 1.5, "hymn": 1.5}
"""Guidance where none is asked for; 1, which is off, in other styles, where it did harm
(docs/benchmarks/composer.md). It keeps nine folk tunes of ten in the key that they say."""
PIANO = ((0, False),)
VOICE_LEADINGS = ("free", "strict")
STRICT_STYLES = ("chorale", "hymn")
"""Styles whose voices move in no parallel fifths or octaves unless asked to be free."""


@dataclass(frozen=True)
class Denoising:
    """How a diffusion model is run; None is its own choice, and all that a model of tokens takes."""

    steps: int | None = None
    """How often the whole clip is denoised, 1 to 1000."""
    sampler: str | None = None
    """One of musegen.diffusion.SAMPLERS."""

    def __post_init__(self) -> None:
        """Check the range."""
        _within("steps", self.steps, 1, 1000)


@dataclass(frozen=True)
class Request:
    """A piece to write. What is None is the model's choice.

    Without a prompt it is a new piece. With one it is a continuation of it; or, with `infill`, some of its bars
    written anew; or, with `harmonize`, new tracks beside some of its tracks; or, with `vary`, a variation of it.

    Attributes:
        bars: how many new bars, of a new piece or a continuation.
        style: one of the styles the model knows.
        key: the key; with `scale` "strict" every pitch lies in it (in minor the raised sixth and seventh too).
        meter: (numerator, denominator), kept throughout.
        tempo: quarters a minute.
        instruments: (program, is_drum) of each new track; empty: what the style is written for.
        voice_leading: "strict": no two tracks move in parallel fifths or octaves wherever a pitch is left that does
            not; "free": as it comes; None: strict in the styles of STRICT_STYLES.
        pitch_range: (lowest, highest) MIDI pitch of all pitched tracks.
        polyphony: the most pitched notes that may sound at once.
        density: 1 to 10, how busy.
        chords: the harmony, a text a new bar ("Dm", "G7/B", "C G7" spread over the beats), repeated as needed; empty:
            the model's choice, or, when a piece that has chords is filled in or harmonized, its own.
        motif: notes that the first track begins with, at the first bar line.
        prompt: a piece to work on; what of it is not written anew stands untouched in the result.
        from_bar: continue from this bar (counted from 1; what follows it is left out) instead of from the end.
        only_new: give back the new bars alone.
        infill: (first, last) bar of the prompt, counted from 1, to write anew.
        tracks: indices of the tracks of the prompt that are written anew in them; empty: all that have notes.
        harmonize: indices of the tracks of the prompt that stand, while new tracks for `instruments` are written
            beside them in all its bars; other tracks are left out. Empty instruments: what the style is written for
            (chorale if none is said) but for its first, which the standing track takes.
        vary: 0 to 1, how far a variation goes: 0 is the prompt itself, 1 a new piece of its frame.
        max_copy: the most notes that the piece may share with a work of the training set, those of the motif apart;
            what shares more is drawn again. None: as it comes.
        seed: what decides every draw; the same request and seed give the same bytes.
        sampling: how tokens are chosen; of a diffusion model, its guidance.
        denoising: how a diffusion model is run.
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
    voice_leading: str | None = None
    pitch_range: tuple[int, int] | None = None
    polyphony: int | None = None
    density: int | None = None
    chords: tuple[str, ...] = ()
    motif: Score | None = None
    prompt: Score | None = None
    from_bar: int | None = None
    only_new: bool = False
    infill: tuple[int, int] | None = None
    tracks: tuple[int, ...] = ()
    harmonize: tuple[int, ...] = ()
    vary: float | None = None
    max_copy: int | None = None
    seed: int = 0
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    denoising: Denoising = field(default_factory=Denoising)
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
        _within("vary", self.vary, 0, 1)
        _within("seed", self.seed, 0, 2**63 - 1)
        if self.style is not None and self.style not in STYLES:
            raise RequestError(f"unknown style {self.style!r}; the styles are {', '.join(STYLES)}")
        if self.scale not in SCALES:
            raise RequestError(f"scale is {self.scale!r}; it is {' or '.join(SCALES)}")
        if self.voice_leading not in (None, *VOICE_LEADINGS):
            raise RequestError(f"voice_leading is {self.voice_leading!r}; it is {' or '.join(VOICE_LEADINGS)}")
        if self.pitch_range is not None:
            low, high = self.pitch_range
            if not 0 <= low <= high <= 127:
                raise RequestError(f"the range {low} to {high} must go upwards within MIDI pitches 0 to 127")
        if len(self.instruments) > 16 or sum(not drums for _, drums in self.instruments) > 15:
            raise RequestError("at most 15 pitched instruments and the drums fit into one MIDI file")
        if sum(drums for _, drums in self.instruments) > 1:
            raise RequestError("the drums are one track; name them once")
        if self.motif is not None and self.prompt is not None:
            raise RequestError("a motif begins a new piece and a prompt is a piece to work on; give one of them")
        if self.chords:
            parse_chords(self.chords)
        if self.prompt is None:
            self._check_alone()
        else:
            self._check_beside(self.prompt)

    def _check_alone(self) -> None:
        if self.from_bar is not None or self.only_new:
            raise RequestError("from_bar and only_new need a piece to continue")
        if self.infill or self.tracks or self.harmonize or self.vary is not None:
            raise RequestError("infill, tracks, harmonize and vary need a piece to work on")

    def _check_beside(self, prompt: Score) -> None:
        """Check what is asked for against the piece it is asked of."""
        if (self.meter, self.tempo) != (None, None) or (self.instruments and not self.harmonize):
            raise RequestError("a continuation keeps the metre, the tempo and the tracks of its piece; leave them out")
        if self.max_copy is not None:
            raise RequestError(
                "max_copy is for new pieces: what a continuation is given may be a known work; leave it out"
            )
        ways = {
            "infill": self.infill,
            "harmonize": self.harmonize,
            "vary": self.vary is not None,
            "from_bar": self.from_bar,
            "only_new": self.only_new,
        }
        asked = [name for name, value in ways.items() if value]
        if len(asked) > 1 and asked != ["from_bar", "only_new"]:
            raise RequestError(f"{asked[0]} and {asked[1]} do not go together; give one of them")
        if self.tracks and self.infill is None:
            raise RequestError("tracks names the tracks of an infill; say which bars (infill)")
        for name in ("tracks", "harmonize"):
            wrong = [k for k in getattr(self, name) if not 0 <= k < len(prompt.tracks)]
            if wrong:
                raise RequestError(f"{name} is {wrong[0]}; the piece has the tracks 0 to {len(prompt.tracks) - 1}")
        if self.infill is not None:
            n_bars = timing.n_bars(prompt)
            if not 1 <= self.infill[0] <= self.infill[1] <= n_bars:
                first, last = self.infill
                raise RequestError(f"bars {first} to {last} are not there to write anew; the piece has 1 to {n_bars}")

    @property
    def new_bars(self) -> int:
        """How many bars are written, in part or whole."""
        if self.infill is not None:
            return self.infill[1] - self.infill[0] + 1
        if self.harmonize or self.vary is not None:
            assert self.prompt is not None
            return timing.n_bars(self.prompt)
        return self.bars

    @property
    def harmony(self) -> Harmony | None:
        """The chords asked for."""
        return parse_chords(self.chords) if self.chords else None


def may_be_parallel(request: Request, style: str | None) -> bool:
    """Whether tracks may move in parallels in this style."""
    leading = request.voice_leading or ("strict" if style in STRICT_STYLES else "free")
    return leading == "free"


def _within(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise RequestError(f"{name} is {value:g}; it goes from {low:g} to {high:g}")
