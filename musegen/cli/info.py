"""The command `musegen info`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from musegen.cli import options as opt
from musegen.cli.files import READING, plain, plural, read_input, reading

if TYPE_CHECKING:
    from musegen.score.model import Score, Track


@click.command("info")
@click.argument("file")
@opt.options(READING)
@click.pass_context
def command(ctx: click.Context, /, file: str, **values: Any) -> None:
    """Say what FILE holds, what was wrong with it, and how to make it again if musegen wrote it.

    \b
    musegen info song.mid
    musegen --json info song.mid
    """
    remarks: list[str] = []
    score = read_input(file, reading(values, file), warn=remarks.append)
    record = {"file": file, **facts(score), "warnings": remarks}
    if ctx.obj["json"]:
        click.echo(json.dumps(record))
        return
    for key, value in record.items():
        if key == "tracks":
            for number, track in enumerate(value, 1):
                click.echo(f"track {number}: {plain(_in_words(track))}")
        elif value not in ([], "", None, {}):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            click.echo(f"{key.replace('_', ' ')}: {plain(str(shown))}")


def facts(score: Score) -> dict[str, Any]:
    """What `info` says of a piece, as JSON holds it."""
    from musegen.score import timing
    from musegen.score.theory import Key

    made = _made(score)
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
        "other_events": len(score.others) + sum(len(track.others) for track in score.tracks),
        "tracks": [_track(track) for track in score.tracks],
        "made_with": made.get("command", ""),
        "made_by": {key: value for key, value in made.items() if key != "command"},
    }


def _made(score: Score) -> dict[str, Any]:
    """What a piece of ours says of how it was made; nothing for other people's pieces."""
    for text in score.texts:
        if text.text.startswith("musegen {"):
            try:
                record = json.loads(text.text.removeprefix("musegen "))
            except ValueError:  # anybody may write such a text
                continue
            if isinstance(record, dict):
                return record
    return {}


def _track(track: Track) -> dict[str, Any]:
    from musegen.score.instruments import PROGRAM_NAMES
    from musegen.score.theory import pitch_name

    pitches = track.notes["pitch"]
    ranged = len(pitches) > 0 and not track.is_drum
    return {
        "name": track.name,
        "instrument": "Drums" if track.is_drum else PROGRAM_NAMES[track.program],
        "program": track.program,
        "is_drum": track.is_drum,
        "notes": len(track.notes),
        "lowest": pitch_name(int(pitches.min())) if ranged else None,
        "highest": pitch_name(int(pitches.max())) if ranged else None,
        "controllers": len(track.controls),
        "bends": len(track.bends),
        "aftertouches": len(track.pressures),
        "lyrics": len(track.lyrics),
    }


def _in_words(track: dict[str, Any]) -> str:
    """A track's facts in a line: what there is none of is left out."""
    words = [track["name"], track["instrument"], plural(track["notes"], "note")]
    if track["lowest"]:
        words.append(f"{track['lowest']} to {track['highest']}")
    words += [plural(track[key], key[:-1]) for key in ("controllers", "bends", "aftertouches", "lyrics") if track[key]]
    return ", ".join(word for word in words if word)
