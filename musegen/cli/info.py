"""The command `musegen info`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from musegen.score.model import Score, Track


@click.command("info")
@click.argument("file")
@click.pass_context
def command(ctx: click.Context, file: str) -> None:
    """Say what FILE holds, what was wrong with it, and how to make it again if musegen wrote it.

    \b
    musegen info song.mid
    musegen --json info song.mid
    """
    from musegen.score.formats import read

    remarks: list[str] = []
    score = read(file, warn=remarks.append)
    record = {"file": file, **facts(score), "warnings": remarks}
    if ctx.obj["json"]:
        click.echo(json.dumps(record))
        return
    for key, value in record.items():
        if key == "tracks":
            for number, track in enumerate(value, 1):
                click.echo(f"track {number}: " + ", ".join(f"{v}" for v in track.values() if v not in ("", None)))
        elif value not in ([], "", None, {}):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            click.echo(f"{key.replace('_', ' ')}: {_plain(str(shown))}")


def facts(score: Score) -> dict[str, Any]:
    """What `info` says of a piece, as JSON holds it."""
    from musegen.score import timing
    from musegen.score.theory import Key

    made = [json.loads(text.text[len("musegen ") :]) for text in score.texts if text.text.startswith('musegen {"')]
    return {
        "title": score.title,
        "bars": timing.n_bars(score),
        "seconds": round(timing.seconds(score), 2),
        "notes": score.n_notes,
        "ticks_per_beat": score.ticks_per_beat,
        "metres": [f"{m.numerator}/{m.denominator}" for m in score.time_signatures] or ["4/4 (not said)"],
        "keys": [Key.from_signature(key).name for key in score.key_signatures],
        "tempi": [round(tempo.qpm, 2) for tempo in score.tempos],
        "markers": len(score.markers),
        "lyrics": sum(len(track.lyrics) for track in score.tracks),
        "chords": len(score.chords),
        "tracks": [_track(track) for track in score.tracks],
        "made_with": made[0].get("command", "") if made else "",
        "made_by": {k: v for k, v in made[0].items() if k != "command"} if made else {},
    }


def _track(track: Track) -> dict[str, Any]:
    from musegen.score.instruments import PROGRAM_NAMES
    from musegen.score.theory import pitch_name

    pitches = track.notes["pitch"]
    ends = f"{pitch_name(int(pitches.min()))} to {pitch_name(int(pitches.max()))}" if len(pitches) else ""
    return {
        "name": _plain(track.name),
        "instrument": "Drums" if track.is_drum else PROGRAM_NAMES[track.program],
        "notes": f"{len(track.notes)} notes",
        "range": "" if track.is_drum else ends,
        "controls": f"{len(track.controls)} controllers" if len(track.controls) else "",
        "bends": f"{len(track.bends)} bends" if len(track.bends) else "",
    }


def _plain(text: str) -> str:
    """Text without control characters, which a file could send to the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
