"""Symbolic music: the Score, its times, its theory, its files. No torch here."""
