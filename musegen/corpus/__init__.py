"""From folders of music files to shards of tokens: scan, clean, deduplicate, split, encode. NumPy only.

`manifest` reads a folder's list, `clean` says why a piece is left out, `fingerprint` finds the same music
again in another key, `build` runs them and `shards` is the file format that training and measuring read.
"""
