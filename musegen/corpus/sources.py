"""Known sources by folder name: what their pieces are, under which licence, whom to credit, how they are cleaned."""

from __future__ import annotations

from dataclasses import dataclass

ALL_VELOCITIES = 127


@dataclass(frozen=True)
class Source:
    """What a folder holds, as its pieces and the model card of a trained model name it."""

    licence: str = "not stated"
    credit: str = ""
    style: str | None = None
    """The style of every piece; None: each piece's tracks tell (`styles.style_of`)."""
    told_by_tracks: bool = True
    """With no `style`: whether the tracks tell one. Of folders that we know nothing of, no style is said."""
    n_tracks: tuple[int, ...] = ()
    """Track counts that belong to the style, other pieces are dropped with that reason; () for any."""
    levelled_up_to: int = 1
    """A piece with at most so many different velocities is made equally loud: they say nothing of the music (a
    constant, or what a conversion put in by rule), so no tokens are spent on them."""
    max_off_grid: float = 0.15
    """Largest share of notes whose onset is off the grid; drums are quantised, however human, and do not count."""


_CHOPIN_INSTITUTE = "encoded by the Fryderyk Chopin Institute"

SOURCES: dict[str, Source] = {
    "folk": Source(
        style="folk",
        licence="tunes traditional (public domain); encodings redistributed by music21 with the permission of "
        "their encoders, no explicit open licence",
        credit="O'Neill's Music of Ireland (1903), Ryan's Mammoth Collection (1883), Aird's Airs (1778-1801), "
        "Northumbrian and fife collections, from the corpus of music21 (Michael Scott Asato Cuthbert and others)",
        n_tracks=(1,),
        levelled_up_to=ALL_VELOCITIES,  # abc2midi's accents on the beat
    ),
    "openhymnal": Source(
        style="hymn",
        licence="public domain, stated in each file",
        credit="Open Hymnal Project (openhymnal.org)",
        n_tracks=(4,),
    ),
    "bach_m21": Source(
        style="chorale",
        licence="music public domain; no open licence on the encodings, which music21 redistributes",
        credit="J. S. Bach's four-part chorales, encoded by Margaret Greentree and others, from the corpus of "
        "music21 (Michael Scott Asato Cuthbert and others)",
        n_tracks=(4,),
    ),
    "lieder": Source(
        style="song",
        licence="CC0 1.0",
        credit="OpenScore Lieder Corpus (github.com/OpenScore/Lieder)",
        max_off_grid=0.3,  # grace notes and trills, written out
    ),
    "mutopia": Source(
        licence="public domain, or CC BY as each piece says",
        credit="Mutopia Project (mutopiaproject.org) and the maintainers that its CC BY pieces name",
        levelled_up_to=4,  # up to four: LilyPond's constants for instruments and accents; more: written dynamics
    ),
    "chopin": Source(
        licence="CC BY 4.0",
        credit=f"Chopin first editions, {_CHOPIN_INSTITUTE} (github.com/pl-wnifc/humdrum-chopin-first-editions)",
    ),
    "polish": Source(
        licence="CC BY 4.0",
        credit=f"Polish scores (polishscores.org), {_CHOPIN_INSTITUTE} (github.com/pl-wnifc/humdrum-polish-scores)",
    ),
    "quartets": Source(
        style="quartet",
        licence="CC0 1.0",
        credit="OpenScore String Quartet Corpus (github.com/OpenScore/StringQuartets)",
        n_tracks=(4,),
        max_off_grid=0.3,
    ),
    "gmd": Source(
        style="drums",
        licence="CC BY 4.0",
        credit="Groove MIDI Dataset, Google LLC (magenta.tensorflow.org/datasets/groove)",
    ),
}
"""A choice by name, so another source is one more entry. Data whose licence lets us measure but not ship trained
weights has none."""


def source_of(name: str, style: str | None = None) -> Source:
    """The Source of a folder of this name; one that is not known has the given style, or none."""
    return SOURCES.get(name) or Source(style=style, told_by_tracks=False)
