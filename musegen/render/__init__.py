"""Pictures of music."""

from musegen.render.image import piano_roll, to_png, write_png

__all__ = ["piano_roll", "to_png", "write_png"]
