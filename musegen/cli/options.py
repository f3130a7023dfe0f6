"""What commands share: options, how their values become a Request, and how results are named, written and told."""

from __future__ import annotations

import json
import secrets
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from musegen.cli.files import plural, say, targets, write_piece, writing
from musegen.errors import RequestError

if TYPE_CHECKING:
    from musegen.compose import Composer, Piece, Request
    from musegen.score.model import Score

F = TypeVar("F", bound=Callable[..., Any])

MAX_DRAWN_SEED = 2**31 - 1

SAMPLERS = ("ddim", "ddpm", "dpmpp_2m", "dpmpp_2m_sde", "euler", "heun", "predictor_corrector")
"""As musegen.diffusion.SAMPLERS has them, which cannot be asked without torch."""

SAMPLES = (
    click.option("-n", "--num-samples", type=click.IntRange(1, 10_000), default=1, show_default=True,
                 help="How many; sample i has seed + i."),
    click.option("--seed", type=click.IntRange(0), help="What decides every draw [default: drawn and told]."),
)  # fmt: skip
MODEL = (
    click.option("-m", "--model", default="transformer", show_default=True, help="A name or a .safetensors file."),
    click.option("--device", type=click.Choice(["auto", "cpu"]), default="auto", show_default=True,
                 help="Where it runs; this version runs on the CPU."),
    click.option("--threads", type=click.IntRange(1, 256), help="Threads to compute with."),
)  # fmt: skip
FRAME = (
    click.option("--motif", help='Notes to begin with: "D4:1 F#4:1/2 r:1/2" (pitch:quarters), or a file.'),
    click.option("--key", help='The key, such as "D major" or "F# minor".'),
    click.option("--meter", help="The metre, such as 6/8."),
    click.option("--tempo", type=click.FloatRange(20, 320), help="Quarters a minute."),
    click.option("--instrument", multiple=True, help="A General MIDI name or number, or drums; repeatable."),
)
MUSIC = (
    click.option("--style", help="What kind of piece: folk, chorale, song, piano, ... (models show NAME)."),
    click.option("--scale", type=click.Choice(["free", "strict"]), default="free", show_default=True,
                 help="strict: every pitch lies in the key."),
    click.option("--voice-leading", type=click.Choice(["free", "strict"]),
                 help="strict: no parallel fifths or octaves  [default: strict for chorale and hymn]"),
    click.option("--range", "pitch_range", help="Lowest and highest pitch, such as C3-C6."),
    click.option("--polyphony", type=click.IntRange(1, 64), help="Most notes at once."),
    click.option("--density", type=click.IntRange(1, 10), help="How busy, 1 to 10."),
    click.option("--chords", help='The harmony of the new bars, repeated as needed: "Dm | G7/B | C F | C".'),
)  # fmt: skip
COPYING = (
    click.option("--max-copy", type=click.IntRange(8, 1000),
                 help="Draw again, 8 drafts at most, what shares a passage of more notes with the training set; more "
                 "than 20 is hardly ever chance. (The shipped set, or NAME.originality.npz beside NAME.safetensors.)"),
)  # fmt: skip
SAMPLING = (
    click.option("--temperature", type=click.FloatRange(0, 10), default=1.0, show_default=True,
                 help="Below 1 surer, above 1 bolder."),
    click.option("--top-k", type=click.IntRange(0), default=0, show_default=True, help="The k likeliest; 0 is off."),
    click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
                 help="The likeliest up to this probability; 1 is off."),
    click.option("--min-p", type=click.FloatRange(0, 1), default=0.01, show_default=True,
                 help="At least this share of the likeliest; 0 is off."),
    click.option("--typical-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
                 help="The most typical up to this probability; 1 is off."),
    click.option("--repetition-penalty", type=click.FloatRange(1, 10), default=1.0, show_default=True,
                 help="Above 1 rarer repeats; 1 is off."),
    click.option("--search", type=click.Choice(["sample", "greedy", "beam"]), default="sample", show_default=True,
                 help="How tokens are chosen."),
    click.option("--beams", type=click.IntRange(1, 64), default=4, show_default=True, help="Sequences kept by beam."),
    click.option("--guidance", type=click.FloatRange(1, 5),
                 help="Above 1 closer to what was asked for (style, key, chords and so on); 1 is off and faster.  "
                 "[default: 1.5 for folk, chorale and hymn, else 1; of a diffusion model 1]"),
    click.option("--steps", type=click.IntRange(1, 1000),
                 help="Of a diffusion model: how often the clip is denoised  [default: 24]"),
    click.option("--sampler", type=click.Choice(SAMPLERS), help="Of a diffusion model  [default: dpmpp_2m_sde]"),
)  # fmt: skip

REQUEST_ORDER = (
    *("from_bar", "only_new", "strength", "track", "melody", "keep", "style", "key", "meter", "tempo", "bars", "motif"),
    *("instrument", "scale", "voice_leading", "pitch_range", "polyphony", "density", "chords", "max_copy"),
    *("temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty", "search", "beams", "guidance"),
    *("steps", "sampler", "model"),
)
"""What a piece follows from, in the order in which the command that makes it again says it: so the same call with
its options in another order writes the same bytes."""
SAMPLING_NAMES = (
    *("temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty", "search", "beams", "guidance"),
)
DENOISING_NAMES = ("steps", "sampler")
IDLE_IN_GREEDY = ("temperature", "top_k", "top_p", "min_p")
"""Filters that never rule out the likeliest token."""


def options(*groups: Sequence[Callable[[F], F]]) -> Callable[[F], F]:
    """Add groups of options to a command."""

    def add(function: F) -> F:
        for option in reversed([option for group in groups for option in group]):
            function = option(function)
        return function

    return add


def request_of(values: Mapping[str, Any], seed: int, **more: Any) -> Request:
    """The Request that options (by their parameter names) ask for.

    Raises:
        RequestError: for a value that cannot be read or is out of range.
    """
    from musegen.compose import Denoising, Request
    from musegen.decoding.filters import SamplingOptions
    from musegen.score.instruments import parse_instrument
    from musegen.score.theory import parse_key, parse_meter

    plain = ("style", "bars", "tempo", "voice_leading", "polyphony", "density", "max_copy")
    wishes: dict[str, Any] = {name: values[name] for name in plain if values.get(name) is not None}
    wishes["scale"] = values.get("scale") or "free"
    if values.get("key"):
        wishes["key"] = parse_key(values["key"])
    if values.get("meter"):
        wishes["meter"] = parse_meter(values["meter"])
    if values.get("pitch_range"):
        wishes["pitch_range"] = parse_range(values["pitch_range"])
    if values.get("instrument"):
        wishes["instruments"] = tuple(parse_instrument(text) for text in values["instrument"])
    if values.get("chords"):
        wishes["chords"] = parse_bars(values["chords"])
    if values.get("motif"):
        wishes["motif"] = motif_of(values["motif"])
    sampling = {name: values[name] for name in SAMPLING_NAMES if values.get(name) is not None}
    denoising = Denoising(**{name: values[name] for name in DENOISING_NAMES if values.get(name) is not None})
    return Request(seed=seed, sampling=SamplingOptions(**sampling), denoising=denoising, **wishes, **more)


def parse_range(text: str) -> tuple[int, int]:
    """(lowest, highest) of "C3-C6"."""
    from musegen.score.theory import parse_pitch

    low, dash, high = text.strip().partition("-")
    if not dash or not high:
        raise RequestError(f"cannot read the range {text!r}; write lowest-highest, such as C3-C6")
    return parse_pitch(low.strip()), parse_pitch(high.strip())


def parse_bars(text: str) -> tuple[str, ...]:
    """What stands between the strokes of "Dm | G7/B | C F"; one before the first bar or after the last is welcome."""
    return tuple(bar.strip() for bar in text.strip().removeprefix("|").removesuffix("|").split("|"))


def motif_of(text: str) -> Score:
    """The motif of a text such as "D4:1 E4:1/2", or of a file."""
    from musegen.score.formats import READABLE, read
    from musegen.score.model import Score, Track
    from musegen.score.motif import parse_motif

    if Path(text).suffix.lower() in READABLE:
        return read(text)
    motif = parse_motif(text)
    return Score(480, (Track(motif.notes),), end=motif.length)


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that the caller gave himself."""
    context, default = click.get_current_context(), click.core.ParameterSource.DEFAULT
    return {key: value for key, value in values.items() if context.get_parameter_source(key) not in (None, default)}


def refuse_idle(wishes: Mapping[str, Any]) -> None:
    """Refuse an option that would change nothing beside the others; `wishes` are those given.

    Raises:
        RequestError: naming it.
    """
    search = wishes.get("search", "sample")
    if "beams" in wishes and search != "beam":
        raise RequestError(f"--beams does nothing in --search {search}; say --search beam, or leave it out")
    idle = [name for name in IDLE_IN_GREEDY if name in wishes]
    if search == "greedy" and idle:
        flag = _flag(idle[0])
        raise RequestError(f"{flag} does nothing in --search greedy, which takes the likeliest; leave it out")


def refuse_foreign(model: str | Path, architecture: str, wishes: Mapping[str, Any]) -> None:
    """Refuse an option that is of another kind of model than this one; `wishes` are those given.

    Raises:
        RequestError: naming it.
    """
    of_rolls = architecture == "dit"
    foreign = [name for name in SAMPLING_NAMES if name != "guidance"] if of_rolls else DENOISING_NAMES
    for name in foreign:
        if name in wishes:
            kind, own = ("tokens", "piano rolls") if of_rolls else ("piano rolls", "tokens")
            raise RequestError(f"{_flag(name)} is for models of {kind}, and {model} writes {own}; leave it out")


def command_line(name: str, arguments: Sequence[str], wishes: Mapping[str, Any], seed: int) -> str:
    """The command that makes a piece again out of the options given: those that bear on it, and its seed."""
    words = ["musegen", name, *arguments]
    for key in REQUEST_ORDER:
        value = wishes.get(key)
        if value is True:
            words.append(_flag(key))
        elif isinstance(value, tuple):
            words += [word for item in value for word in (_flag(key), str(item))]
        elif value is not None and value is not False:
            words += [_flag(key), f"{value:.15g}" if isinstance(value, float) else str(value)]
    return shlex.join([*words, "--seed", str(seed)])


def _flag(name: str) -> str:
    return "--" + ("range" if name == "pitch_range" else name.replace("_", "-"))


def track_of(piece: Score, text: str) -> int:
    """The index of the track with this name, or of this number, counted from 1 as `info` does.

    Raises:
        RequestError: if there is none, or more than one of this name.
    """
    names = [track.name for track in piece.tracks]
    wanted = text.strip().casefold()
    found = [k for k, name in enumerate(names) if name.strip().casefold() == wanted]
    if len(found) > 1:
        raise RequestError(f"{len(found)} tracks are called {text!r}; give the number of one (musegen info lists them)")
    if not found and wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        found = [int(wanted) - 1]
    if not found:
        there = ", ".join(f"{number} {name}".strip() for number, name in enumerate(names, 1))
        raise RequestError(f"there is no track {text!r}; there are {there or 'none'}")
    return found[0]


def write_beside(name: str, file: str, suffix: str, values: Mapping[str, Any], checked: Request) -> None:
    """Compose and write what the command `name` makes of the piece in `file`, `suffix` in its default name."""
    samples, wishes = values["num_samples"], given(values)
    seed = drawn_seed(values["seed"], samples)
    stem = f"{'piece' if file == '-' else Path(file).stem}-{suffix}-{seed}"
    paths = targets(values["output"], stem, samples, force=values["force"])
    requests = [
        replace(checked, seed=seed + i, made_with=command_line(name, [Path(file).name], wishes, seed + i))
        for i in range(samples)
    ]
    compose_and_write(requests, paths, values)


def drawn_seed(seed: int | None, samples: int) -> int:
    """The seed given, or one drawn and told."""
    if seed is None:
        seed = secrets.randbelow(MAX_DRAWN_SEED - samples)
        say(f"seed {seed}")
    return seed


def compose_and_write(requests: Sequence[Request], paths: Sequence[Path | None], values: Mapping[str, Any]) -> None:
    """Compose with the model that the options `values` name, write each piece as it ends and tell what was written.

    A path of None is stdout.
    """
    from musegen.checkpoint import architecture
    from musegen.compose import Piece, load

    began, model = time.monotonic(), model_of(values["model"])
    refuse_foreign(model, architecture(model), given(values))
    options = writing(values, paths)
    composer = load(model, threads=values["threads"])
    written: dict[int, Piece] = {}
    with progress_bar(sum(request.new_bars for request in requests)) as advance:
        for event in composer.stream(requests):
            if isinstance(event, Piece):
                write_piece(event.score, paths[event.index], options, force=values["force"])
                written[event.index] = event
            elif not event.redraw:
                advance()
    report(composer, requests, paths, written, time.monotonic() - began)


def model_of(text: str) -> str | Path:
    """A model's name, or the path of its file."""
    return Path(text) if text.endswith(".safetensors") else text


def report(
    composer: Composer,
    requests: Sequence[Request],
    paths: Sequence[Path | None],
    written: Mapping[int, Piece],
    seconds: float,
) -> None:
    """Paths (or, with --json, one object) on stdout and a summary on stderr."""
    from musegen.score.timing import n_bars

    pieces = [
        {"file": None if path is None else str(path), "seed": request.seed,
         "bars": n_bars(written[i].score), "notes": written[i].score.n_notes,
         **({} if request.max_copy is None else {"redraws": written[i].redraws})}
        for i, (path, request) in enumerate(zip(paths, requests, strict=True))
    ]  # fmt: skip
    notes = sum(piece.score.n_notes for piece in written.values())
    bars = sum(n_bars(piece.score) for piece in written.values())
    if click.get_current_context().obj["json"]:
        record = {"files": [piece["file"] for piece in pieces], "seed": requests[0].seed,
                  "model": composer.name, "checksum": composer.checksum, "bars": bars, "notes": notes,
                  "seconds": round(seconds, 2), "pieces": pieces}  # fmt: skip
        click.echo(json.dumps(record), err=None in paths)
    elif None not in paths:
        for piece in pieces:
            click.echo(piece["file"])
    counts = ", ".join(plural(n, what) for n, what in ((len(pieces), "piece"), (bars, "bar"), (notes, "note")))
    say(f"{counts} in {seconds:.1f} s")
    say_redraws([piece.redraws for piece in written.values()])


def say_redraws(redraws: Sequence[int]) -> None:
    """Tell how many pieces were drawn again, and how often."""
    again = [count for count in redraws if count]
    if again:
        say(f"{plural(len(again), 'piece')} drawn again, {plural(sum(again), 'time')} in all, for what they copied")


@contextmanager
def progress_bar(total: int, unit: str = "bars") -> Iterator[Callable[[], None]]:
    """A progress bar of so many steps, on a terminal and unless --quiet."""
    if click.get_current_context().obj["quiet"] or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(unit, total=total)
        yield lambda: progress.advance(task)
