"""MIDI files (.mid, .midi) <-> Score, and miditoolkit's objects <-> Score.

Reading keeps notes, controllers (the pedal among them), bends, programs, channels, names, lyrics, texts,
markers, tempi, metres, keys and the end. The rules:

- A chunk gives one Track for each channel in it. A chunk after the first without channel messages gives a
  Track without notes. Lyrics and texts of a chunk go to its first Track; texts of the first chunk to the
  Score.
- The first chunk's name is the title (and the name of the Tracks in it, if it has any). Lyrics of a first
  chunk without notes become a Track of their own, which holds nothing else.
- A text "chord: Dm7" in the first chunk is a Chord.
- Of overlapping notes of one pitch in one chunk and channel, the first to begin is the first to end.
- `Track.program` is the first program change, if it comes before any note, otherwise 0; program changes after
  tick 0 stand in `program_changes` as well.
- Channel 9 (counted from 0) is the drums, and nothing else is.
- Release velocities, and the clocks that a metre states besides its fraction, are not kept. Sysex, aftertouch
  and other kinds of event are not kept either, and are counted in a warning.

Writing makes format 1: a conductor chunk, then one chunk a Track, all ending at `score.end`. At one tick come
texts, notes off, controllers, program, bend, notes on. Every Track that plays states its program at tick 0.
miditoolkit's own writer would lose channels, texts and the lyrics' tracks, so the bytes are ours.
"""

from __future__ import annotations

from musegen.score.formats.midi_reader import from_bytes
from musegen.score.formats.midi_writer import to_bytes

__all__ = ["from_bytes", "to_bytes"]
