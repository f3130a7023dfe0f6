import io
from pathlib import Path

import pytest
from PIL import Image

from musegen.errors import FileFormatError, RequestError
from musegen.render import piano_roll, to_png, write_png
from musegen.render.image import PALETTE, note_colour, plain
from musegen.render.layout import DRUM_ROW_HEIGHT, MAX_HEIGHT, Layout, plan
from musegen.score.model import NOTE_DTYPE, KeySignature, Score, Tempo, TimeSignature, Track, frozen

WHITE = (255, 255, 255)


def track(*notes: tuple[int, int, int, int], drums: bool = False, name: str = "") -> Track:
    return Track(frozen(notes, NOTE_DTYPE), is_drum=drums, name=name)


def laid_out(score: Score, image: Image.Image) -> Layout:
    """The layout of `image`, its top taken from the picture: the first system ends at the lower margin."""
    probe = plan(score, top=0, width=image.width, bars=None, bars_per_row=None)
    return plan(score, top=image.height - probe.height, width=image.width, bars=None, bars_per_row=None)


def colour_at(image: Image.Image, layout: Layout, tick: int, pitch: int, system: int = 0) -> object:
    place = layout.systems[system]
    return image.getpixel((layout.x(place, tick), layout.y(place, pitch) + layout.row_height // 2))


def test_a_note_stands_where_it_sounds_in_the_colour_of_its_track() -> None:
    score = Score(tracks=(track((0, 60, 480, 127)), track((960, 67, 480, 127))))
    image = piano_roll(score)
    layout = laid_out(score, image)
    assert colour_at(image, layout, 240, 60) == PALETTE[0]
    assert colour_at(image, layout, 1200, 67) == PALETTE[1]
    assert colour_at(image, layout, 1200, 60) == WHITE
    assert colour_at(image, layout, 240, 67) == WHITE
    assert colour_at(image, layout, 720, 60) == WHITE


def test_time_and_pitch_run_evenly() -> None:
    score = Score(tracks=(track((0, 60, 480, 90), (1440, 72, 480, 90)),))
    layout = laid_out(score, piano_roll(score))
    system = layout.systems[0]
    quarter = layout.x(system, 480) - layout.x(system, 0)
    assert quarter >= 34
    assert layout.x(system, 1440) - layout.x(system, 0) == pytest.approx(3 * quarter, abs=1)
    assert layout.y(system, 60) - layout.y(system, 72) == 12 * layout.row_height


def test_velocity_is_shade() -> None:
    score = Score(tracks=(track((0, 60, 480, 30), (480, 60, 480, 120)),))
    image = piano_roll(score)
    layout = laid_out(score, image)
    soft, loud = (colour_at(image, layout, tick, 60) for tick in (240, 720))
    assert (soft, loud) == (note_colour(0, 30), note_colour(0, 120))
    assert sum(note_colour(0, 30)) > sum(note_colour(0, 120))


def test_two_tracks_in_unison_are_both_seen() -> None:
    score = Score(tracks=(track((0, 60, 960, 127)), track((0, 60, 960, 127))))
    image = piano_roll(score)
    layout = laid_out(score, image)
    system = layout.systems[0]
    x, y = layout.x(system, 480), layout.y(system, 60)
    column = {image.getpixel((x, y + row)) for row in range(layout.row_height)}
    assert {PALETTE[0], PALETTE[1]} <= column


def test_drums_have_a_lane_of_their_own_and_are_struck_not_held() -> None:
    score = Score(tracks=(track((0, 60, 1920, 127)), track((480, 36, 1440, 127), (0, 42, 10, 127), drums=True)))
    image = piano_roll(score)
    layout = laid_out(score, image)
    assert layout.drums == (42, 36)
    assert layout.low > 36
    system = layout.systems[0]
    kick = layout.drum_y(system, 36) + DRUM_ROW_HEIGHT // 2
    assert kick > system.top + layout.roll_height
    assert image.getpixel((layout.x(system, 480) + 2, kick)) == PALETTE[1]
    assert image.getpixel((layout.x(system, 1200), kick)) == WHITE


def test_drums_alone() -> None:
    score = Score(tracks=(track((0, 36, 10, 127), drums=True),))
    image = piano_roll(score)
    layout = laid_out(score, image)
    assert layout.roll_height == 0
    y = layout.drum_y(layout.systems[0], 36) + DRUM_ROW_HEIGHT // 2
    assert image.getpixel((layout.x(layout.systems[0], 0) + 2, y)) == PALETTE[0]


def test_bar_lines_are_darker_than_beat_lines() -> None:
    score = Score(tracks=(track((0, 60, 10, 90)),), time_signatures=(TimeSignature(0, 6, 8),), end=2 * 1440)
    image = piano_roll(score)
    layout = laid_out(score, image)
    bar, beat, eighth = (colour_at(image, layout, tick, 64) for tick in (1440, 720, 480))
    assert isinstance(bar, tuple) and isinstance(beat, tuple)
    assert sum(bar) < sum(beat) < sum(WHITE)
    assert eighth == WHITE  # 6/8 is counted in two


def test_an_empty_score_is_one_empty_bar() -> None:
    image = piano_roll(Score())
    layout = laid_out(Score(), image)
    assert [(s.first, s.last) for s in layout.systems] == [(0, 1)]
    assert image.height < 400


def test_long_pieces_are_wrapped_and_a_held_note_goes_on_in_the_next_system() -> None:
    score = Score(tracks=(track((0, 60, 20 * 1920, 127)),))
    image = piano_roll(score)
    layout = laid_out(score, image)
    assert [(s.first, s.last) for s in layout.systems] == [(0, 8), (8, 16), (16, 20)]
    assert colour_at(image, layout, 9 * 1920, 60, system=1) == PALETTE[0]
    assert colour_at(image, layout, 17 * 1920, 60, system=2) == PALETTE[0]


def test_a_pickup_bar_joins_the_first_system() -> None:
    layout = plan(Score(end=17 * 1920), top=0, width=1600, bars=None, bars_per_row=None)
    assert [(s.first, s.last) for s in layout.systems] == [(0, 9), (9, 17)]


def test_metres_may_change_and_every_bar_is_drawn_once() -> None:
    metres = (TimeSignature(0, 5, 4), TimeSignature(2400, 6, 4), TimeSignature(2400 + 2880, 3, 8))
    end = 2400 + 2880 + 40 * 720
    score = Score(tracks=(track((0, 60, 480, 90), (end - 240, 60, 240, 90)),), time_signatures=metres)
    layout = plan(score, top=0, width=1600, bars=None, bars_per_row=None)
    assert layout.bars[:4].tolist() == [0, 2400, 5280, 6000]
    assert layout.systems[0].first == 0 and layout.systems[-1].last == 42
    assert all(a.last == b.first for a, b in zip(layout.systems, layout.systems[1:], strict=False))
    assert all(layout.x(s, s.end) <= 1600 for s in layout.systems)


def test_300_bars_fit_a_page_and_more_is_refused_with_what_would_fit() -> None:
    score = Score(tracks=(track((0, 60, 480, 90), (300 * 1920 - 480, 72, 480, 90)),))
    image = piano_roll(score)
    assert image.height <= MAX_HEIGHT
    long = Score(tracks=(track((0, 24, 480, 90), (2000 * 1920 - 480, 100, 480, 90)),))
    with pytest.raises(RequestError, match=r"choose at most \d+ bars"):
        piano_roll(long)
    assert piano_roll(long, bars=(1900, 1960)).height <= MAX_HEIGHT
    with pytest.raises(RequestError, match="too many for a picture"):
        piano_roll(Score(end=10**13))


@pytest.mark.parametrize(
    ("bars", "width", "bars_per_row"),
    [((0, 5), 1600, None), ((2, 2), 1600, None), ((-1, 2), 1600, None), (None, 10, None), (None, 1600, 0)],
)
def test_what_is_out_of_range_is_refused(bars: tuple[int, int] | None, width: int, bars_per_row: int | None) -> None:
    with pytest.raises(RequestError):
        piano_roll(Score(end=4 * 1920), bars=bars, width=width, bars_per_row=bars_per_row)


def test_the_same_score_gives_the_same_bytes() -> None:
    score = Score(
        tracks=(track((0, 60, 480, 90), name="Flöte"), track((0, 40, 10, 90), drums=True)),
        tempos=(Tempo(0, 500_000), Tempo(960, 400_000)),
        key_signatures=(KeySignature(0, 2, "major"),),
        title="Żółć",
    )
    assert to_png(piano_roll(score)) == to_png(piano_roll(score))


def test_the_title_and_the_legend_take_room_of_their_own() -> None:
    plain_height = piano_roll(Score(tracks=(track((0, 60, 480, 90)),))).height
    tracks = tuple(track((0, 60, 480, 90), name=f"A rather long name of a track, number {i}") for i in range(20))
    assert piano_roll(Score(tracks=tracks, title="Title")).height > plain_height + 60


@pytest.mark.parametrize(
    ("text", "shown"), [("Frère", "Frere"), ("Łódź", "Lodz"), ("♭VII – x", "bVII - x"), ("音", "?")]
)
def test_text_is_spelled_in_the_letters_of_the_font(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_write_png_leaves_what_exists_alone(tmp_path: Path) -> None:
    score = Score(tracks=(track((0, 60, 480, 90)),))
    path = tmp_path / "folder" / "roll.png"
    write_png(score, path)
    assert Image.open(io.BytesIO(path.read_bytes())).size == piano_roll(score).size
    path.write_bytes(b"mine")
    with pytest.raises(FileFormatError):
        write_png(score, path)
    assert path.read_bytes() == b"mine"
    write_png(score, path, force=True)
    assert path.read_bytes() == to_png(piano_roll(score))
    assert [p.name for p in path.parent.iterdir()] == ["roll.png"]
