"""The command `musegen harmonize`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from musegen.cli import files
from musegen.cli import options as opt
from musegen.errors import RequestError

if TYPE_CHECKING:
    from musegen.score.model import Score


@click.command("harmonize")
@click.argument("file")
@click.option("--melody", metavar="NAME|NUMBER", help="The track that stays [default: the highest on average].")
@click.option("--keep", is_flag=True, help="Keep all tracks, not the melody alone.")
@click.option("--instrument", multiple=True, help="What to write for: a General MIDI name or number, or drums; "
              "repeatable [default: what the style is written for].")  # fmt: skip
@click.option("--key", help="The key that --scale strict keeps to, where the file says none.")
@opt.options(files.READING, opt.MUSIC, files.OUTPUT, opt.SAMPLES, opt.SAMPLING, opt.MODEL)
def command(file: str, **values: Any) -> None:
    """Keep the melody of FILE as it is and write what goes with it: a chorale, or the instruments asked for.

    \b
    musegen harmonize tune.mid --style chorale -o chorale.mid
    musegen harmonize song.mid --keep --instrument "acoustic bass" --seed 2 -o with_bass.mid
    """
    opt.refuse_idle(opt.given(values))
    if values["key"] and values["scale"] != "strict":
        raise RequestError("--key does nothing without --scale strict: the new tracks keep the key of their piece")
    if values["keep"] and values["melody"]:
        raise RequestError("--melody does nothing with --keep, which keeps every track; leave one of them out")
    piece = files.read_input(file, files.reading(values, file))
    if not piece.n_notes:
        raise RequestError("the piece has no notes to harmonize")
    kept = tuple(range(len(piece.tracks))) if values["keep"] else (melody_of(piece, values["melody"]),)
    checked = opt.request_of(values, 0, prompt=piece, harmonize=kept)
    opt.write_beside("harmonize", file, "harmonized", values, checked)


def melody_of(piece: Score, text: str | None) -> int:
    """The index of the track asked for, or else of the one with notes and no drums whose pitches are highest."""
    if text is not None:
        return opt.track_of(piece, text)
    pitches = {k: track.notes["pitch"].mean() for k, track in enumerate(piece.tracks) if len(track.notes)}
    pitched = [k for k in pitches if not piece.tracks[k].is_drum]
    return max(pitched or pitches, key=lambda k: pitches[k])
