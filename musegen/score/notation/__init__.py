"""A Score as sheet music: bars, voices, note values, names of pitches, clefs and beams."""
