"""General MIDI: programs by name and number, families, sensible ranges, the drum map.

Names follow the General MIDI Level 1 sound set; programs count from 0.
"""

from __future__ import annotations

import difflib
import re

from musegen.errors import RequestError

PROGRAM_NAMES: tuple[str, ...] = (
    "Acoustic Grand Piano", "Bright Acoustic Piano", "Electric Grand Piano", "Honky-tonk Piano",
    "Electric Piano 1", "Electric Piano 2", "Harpsichord", "Clavinet",
    "Celesta", "Glockenspiel", "Music Box", "Vibraphone",
    "Marimba", "Xylophone", "Tubular Bells", "Dulcimer",
    "Drawbar Organ", "Percussive Organ", "Rock Organ", "Church Organ",
    "Reed Organ", "Accordion", "Harmonica", "Tango Accordion",
    "Acoustic Guitar (nylon)", "Acoustic Guitar (steel)", "Electric Guitar (jazz)", "Electric Guitar (clean)",
    "Electric Guitar (muted)", "Overdriven Guitar", "Distortion Guitar", "Guitar Harmonics",
    "Acoustic Bass", "Electric Bass (finger)", "Electric Bass (pick)", "Fretless Bass",
    "Slap Bass 1", "Slap Bass 2", "Synth Bass 1", "Synth Bass 2",
    "Violin", "Viola", "Cello", "Contrabass",
    "Tremolo Strings", "Pizzicato Strings", "Orchestral Harp", "Timpani",
    "String Ensemble 1", "String Ensemble 2", "Synth Strings 1", "Synth Strings 2",
    "Choir Aahs", "Voice Oohs", "Synth Voice", "Orchestra Hit",
    "Trumpet", "Trombone", "Tuba", "Muted Trumpet",
    "French Horn", "Brass Section", "Synth Brass 1", "Synth Brass 2",
    "Soprano Sax", "Alto Sax", "Tenor Sax", "Baritone Sax",
    "Oboe", "English Horn", "Bassoon", "Clarinet",
    "Piccolo", "Flute", "Recorder", "Pan Flute",
    "Blown Bottle", "Shakuhachi", "Whistle", "Ocarina",
    "Lead 1 (square)", "Lead 2 (sawtooth)", "Lead 3 (calliope)", "Lead 4 (chiff)",
    "Lead 5 (charang)", "Lead 6 (voice)", "Lead 7 (fifths)", "Lead 8 (bass + lead)",
    "Pad 1 (new age)", "Pad 2 (warm)", "Pad 3 (polysynth)", "Pad 4 (choir)",
    "Pad 5 (bowed)", "Pad 6 (metallic)", "Pad 7 (halo)", "Pad 8 (sweep)",
    "FX 1 (rain)", "FX 2 (soundtrack)", "FX 3 (crystal)", "FX 4 (atmosphere)",
    "FX 5 (brightness)", "FX 6 (goblins)", "FX 7 (echoes)", "FX 8 (sci-fi)",
    "Sitar", "Banjo", "Shamisen", "Koto",
    "Kalimba", "Bagpipe", "Fiddle", "Shanai",
    "Tinkle Bell", "Agogo", "Steel Drums", "Woodblock",
    "Taiko Drum", "Melodic Tom", "Synth Drum", "Reverse Cymbal",
    "Guitar Fret Noise", "Breath Noise", "Seashore", "Bird Tweet",
    "Telephone Ring", "Helicopter", "Applause", "Gunshot",
)  # fmt: skip
"""Name of each program 0..127."""

FAMILIES: tuple[str, ...] = (
    "Piano", "Chromatic Percussion", "Organ", "Guitar", "Bass", "Strings", "Ensemble", "Brass",
    "Reed", "Pipe", "Synth Lead", "Synth Pad", "Synth Effects", "Ethnic", "Percussive", "Sound Effects",
)  # fmt: skip
"""Families of eight programs each: program // 8 is the index."""

_FAMILY_RANGES = (
    (21, 108), (53, 96), (36, 96), (40, 88), (28, 67), (36, 96), (36, 84), (36, 84),
    (44, 91), (60, 96), (36, 96), (36, 96), (36, 96), (43, 91), (36, 84), (21, 108),
)  # fmt: skip
_PROGRAM_RANGES = {
    6: (29, 89), 7: (36, 89), 8: (60, 108), 9: (79, 108), 10: (60, 84), 11: (53, 89), 12: (45, 96),
    13: (65, 108), 14: (60, 77), 15: (60, 84), 19: (21, 108), 21: (53, 89), 22: (60, 84), 32: (28, 60),
    35: (28, 60), 40: (55, 103), 41: (48, 91), 42: (36, 76), 43: (28, 60), 46: (24, 103), 47: (36, 57),
    48: (28, 96), 49: (28, 96), 52: (40, 81), 53: (48, 84), 54: (48, 84), 56: (55, 82), 57: (40, 72),
    58: (29, 58), 59: (55, 82), 60: (41, 77), 64: (56, 87), 65: (49, 80), 66: (44, 75), 67: (36, 68),
    68: (58, 91), 69: (52, 81), 70: (34, 72), 71: (50, 91), 72: (74, 108), 73: (60, 96), 74: (60, 96),
    75: (60, 96), 78: (74, 103), 104: (48, 77), 105: (48, 86), 107: (55, 84), 108: (60, 84), 109: (57, 69),
    110: (55, 96), 112: (72, 84), 114: (52, 76),
}  # fmt: skip
RANGES: tuple[tuple[int, int], ...] = tuple(
    _PROGRAM_RANGES.get(program, _FAMILY_RANGES[program // 8]) for program in range(128)
)
"""Lowest and highest sensible MIDI pitch of each program, both included: what a good player reaches."""

DRUM_NAMES: dict[int, str] = {
    27: "High Q", 28: "Slap", 29: "Scratch Push", 30: "Scratch Pull", 31: "Sticks", 32: "Square Click",
    33: "Metronome Click", 34: "Metronome Bell", 35: "Acoustic Bass Drum", 36: "Bass Drum 1",
    37: "Side Stick", 38: "Acoustic Snare", 39: "Hand Clap", 40: "Electric Snare", 41: "Low Floor Tom",
    42: "Closed Hi-Hat", 43: "High Floor Tom", 44: "Pedal Hi-Hat", 45: "Low Tom", 46: "Open Hi-Hat",
    47: "Low-Mid Tom", 48: "Hi-Mid Tom", 49: "Crash Cymbal 1", 50: "High Tom", 51: "Ride Cymbal 1",
    52: "Chinese Cymbal", 53: "Ride Bell", 54: "Tambourine", 55: "Splash Cymbal", 56: "Cowbell",
    57: "Crash Cymbal 2", 58: "Vibraslap", 59: "Ride Cymbal 2", 60: "Hi Bongo", 61: "Low Bongo",
    62: "Mute Hi Conga", 63: "Open Hi Conga", 64: "Low Conga", 65: "High Timbale", 66: "Low Timbale",
    67: "High Agogo", 68: "Low Agogo", 69: "Cabasa", 70: "Maracas", 71: "Short Whistle", 72: "Long Whistle",
    73: "Short Guiro", 74: "Long Guiro", 75: "Claves", 76: "Hi Wood Block", 77: "Low Wood Block",
    78: "Mute Cuica", 79: "Open Cuica", 80: "Mute Triangle", 81: "Open Triangle", 82: "Shaker",
    83: "Jingle Bell", 84: "Bell Tree", 85: "Castanets", 86: "Mute Surdo", 87: "Open Surdo",
}  # fmt: skip
"""Name of each drum by pitch: General MIDI (35..81) and the GM2 ones around it."""

_EVERYDAY_NAMES = {
    "piano": 0, "grand piano": 0, "electric piano": 4, "bells": 14, "organ": 19, "pipe organ": 19,
    "hammond": 16, "guitar": 24, "acoustic guitar": 24, "nylon guitar": 24, "steel guitar": 25,
    "electric guitar": 27, "jazz guitar": 26, "bass": 32, "upright bass": 32, "electric bass": 33,
    "bass guitar": 33, "slap bass": 36, "synth bass": 38, "double bass": 43, "violoncello": 42, "strings": 48,
    "string ensemble": 48, "synth strings": 50, "harp": 46, "choir": 52, "voice": 53, "horn": 60, "brass": 61,
    "synth brass": 62, "sax": 65, "saxophone": 65, "synth lead": 80, "lead": 80, "pad": 88, "synth pad": 88,
    "bagpipes": 109, "tin whistle": 78, "vibes": 11,
}  # fmt: skip
_DRUM_WORDS = frozenset({"drum", "drums", "drum kit", "drum set", "drumkit", "drumset", "percussion", "kit"})


def _plain(text: str) -> str:
    """Lower case, with one blank for whatever is neither letter nor digit."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


_PLAIN_NAMES = tuple(_plain(name) for name in PROGRAM_NAMES)


def parse_instrument(text: str) -> tuple[int, bool]:
    """Read an instrument as (program, is_drum).

    It may be a General MIDI name in any case ("Alto Sax"), an everyday name ("organ"), a beginning or part
    that fits one name only ("shaku"), a program number 0..127, or "drums", which is (0, True).

    Raises:
        RequestError: if nothing fits, or several names do; the near ones are listed.
    """
    plain = _plain(text)
    if plain in _DRUM_WORDS:
        return 0, True
    if plain.isdecimal() and text.strip() == plain:
        if int(plain) > 127:
            raise RequestError(f"instrument {text!r}: program numbers go from 0 to 127")
        return int(plain), False
    if plain in _PLAIN_NAMES:
        return _PLAIN_NAMES.index(plain), False
    if plain in _EVERYDAY_NAMES:
        return _EVERYDAY_NAMES[plain], False
    begins = [program for program, name in enumerate(_PLAIN_NAMES) if plain and name.startswith(plain)]
    holds = [program for program, name in enumerate(_PLAIN_NAMES) if plain and plain in name]
    for found in (begins, holds):
        if len(found) == 1:
            return found[0], False
    if holds:
        names = ", ".join(PROGRAM_NAMES[program] for program in holds[:8])
        raise RequestError(f"instrument {text!r} fits several: {names}; say one of them in full")
    near = difflib.get_close_matches(plain, [*_PLAIN_NAMES, *_EVERYDAY_NAMES, "drums"], n=4, cutoff=0.5)
    names = ", ".join(PROGRAM_NAMES[_PLAIN_NAMES.index(n)] if n in _PLAIN_NAMES else n for n in near)
    hint = f"did you mean {names}?" if names else "say a General MIDI name such as Violin, drums, or 0 to 127"
    raise RequestError(f"unknown instrument {text!r}; {hint}")
