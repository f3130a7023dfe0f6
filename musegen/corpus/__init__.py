"""From folders of music files to shards of tokens: scan, clean, deduplicate, split, encode. NumPy only.

`manifest` lists a folder's pieces and `sources` says what is known of the folder; `prepared` makes of one file a
piece or a reason why there is none (`clean`, `styles`, `encode`, `chords`, `fingerprint`), in processes within limits
(`workers`); `splits` finds one work in two places; `build` runs them, `shards` is the file format that training and
measuring read, `report` what is said of it.
"""
