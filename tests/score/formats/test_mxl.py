"""MusicXML unpacked and looked over: what is hostile is refused before it costs anything."""

import io
import tracemalloc
import zipfile

import pytest

from musegen.errors import FileFormatError
from musegen.score.formats.mxl import check_xml, unpack
from musegen.score.formats.options import Limits

LIMITS = Limits()
DOCTYPE = '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" "http://x.invalid/a.dtd">'
SCORE = f'<?xml version="1.0" encoding="UTF-8"?>{DOCTYPE}<score-partwise><part-list/></score-partwise>'
CONTAINER = '<container><rootfiles><rootfile full-path="{}"/></rootfiles></container>'


def packed(members: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


# ---- zip -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_container_names_the_score(method: int) -> None:
    members = {"other.xml": "<x/>", "META-INF/container.xml": CONTAINER.format("a/b.xml"), "a/b.xml": SCORE}
    assert unpack(packed(members, method), LIMITS).decode() == SCORE


def test_of_several_root_files_the_one_that_is_no_picture_is_the_score() -> None:
    roots = '<c><rootfile full-path="a.pdf" media-type="application/pdf"/><rootfile full-path="a.xml"/></c>'
    assert unpack(packed({"META-INF/container.xml": roots, "a.pdf": "%PDF", "a.xml": SCORE}), LIMITS) == SCORE.encode()


def test_without_a_container_the_only_xml_file_is_the_score() -> None:
    members = {"__MACOSX/a.xml": "junk", "a.musicxml": SCORE, "cover.png": b"\x89PNG"}
    assert unpack(packed(members), LIMITS) == SCORE.encode()


def encrypted() -> bytes:
    data = bytearray(packed({"a.xml": SCORE}))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + place] |= 1
    return bytes(data)


def broken() -> bytes:
    data = bytearray(packed({"a.xml": SCORE * 10}))
    data[60:70] = bytes(10)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no zip", "not an .mxl file"),
        (packed({"a.xml": SCORE})[:-10], "not an .mxl file"),
        (broken(), "not an .mxl file, or a damaged one"),
        (encrypted(), "encrypted"),
        (packed({"a.xml": SCORE}, zipfile.ZIP_BZIP2), "packed by method 12"),
        (packed({"a.xml": SCORE, "b.xml": SCORE}), "names no score and holds 2 XML files"),
        (packed({"readme.txt": ""}), "holds 0 XML files"),
        (packed({"META-INF/container.xml": CONTAINER.format("../../etc/passwd"), "a.xml": SCORE}), "does not hold"),
        (packed({"META-INF/container.xml": "<container>", "a.xml": SCORE}), "malformed XML"),
        (packed({"META-INF/container.xml": " " * 200_000, "a.xml": SCORE}), "too much"),
        (packed({f"{i}.txt": "" for i in range(1_001)}), "1001 files in the .mxl, where 1000 are allowed"),
    ],
)
def test_what_is_no_sound_mxl_is_refused_in_one_line(data: bytes, said: str) -> None:
    with pytest.raises(FileFormatError, match=said) as error:
        unpack(data, LIMITS)
    assert "\n" not in str(error.value)


def test_a_little_zip_that_holds_much_is_refused_in_little_memory() -> None:
    buffer = io.BytesIO()
    packing = zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packing as archive, archive.open("a.xml", "w") as member:
        for _ in range(128):
            member.write(bytes(2**20))
    honest = buffer.getvalue()
    lying = bytearray(honest)
    place = lying.index(b"PK\1\2") + 24
    lying[place : place + 4] = (1000).to_bytes(4, "little")  # the size that the directory declares
    tracemalloc.start()
    for data, said in ((honest, "too much: 134217728 bytes"), (bytes(lying), "damaged")):
        with pytest.raises(FileFormatError, match=said):
            unpack(data, LIMITS)
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


# ---- XML -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_sound_documents_pass_in_any_encoding(encoding: str) -> None:
    name = encoding.removesuffix("-sig")
    check_xml(SCORE.replace("UTF-8", name).replace("<part-list/>", "<a>é</a>").encode(encoding), LIMITS)
    check_xml(b"<score-timewise/>", LIMITS)


LAUGHS = '<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
ENTITIES = {
    "billion laughs": (LAUGHS, "&j;"),
    "quadratic blow-up": (f'<!ENTITY a "{"a" * 50_000}">', "&a;" * 50_000),
    "external entity": ('<!ENTITY a SYSTEM "file:///etc/passwd">', "&a;"),
    "parameter entity": ('<!ENTITY % a SYSTEM "file:///etc/passwd">%a;', ""),
    "elements": ("<!ELEMENT a ANY>", ""),
}


@pytest.mark.parametrize("name", ENTITIES)
def test_a_doctype_that_declares_anything_is_refused_before_it_grows(name: str) -> None:
    subset, content = ENTITIES[name]
    tracemalloc.start()
    with pytest.raises(FileFormatError, match=r"DOCTYPE declares .*line 1, column"):
        check_xml(f"<!DOCTYPE a [{subset}]><score-partwise>{content}</score-partwise>".encode(), LIMITS)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "malformed XML: no element found"),
        ("<score-partwise>\n<a></b></score-partwise>", r"malformed XML: mismatched tag \(line 2, column 6\)"),
        ("<score-partwise>&b;</score-partwise>", "malformed XML: undefined entity"),
        ("<html/>", "not MusicXML: the document is a 'html'"),
        ("<score-partwise>" + "<a>" * 100_000, "nested deeper than 100"),
        ("<score-partwise>" + "<a/>" * 2_000 + "</score-partwise>", "too much: 2002 events, where 1000"),
        ('<?xml version="1.0" encoding="klingon"?><score-partwise/>', "malformed XML: unknown encoding|encoding that"),
        ('<?xml version="1.0" encoding="shift_jis"?><score-partwise/>', "encoding"),
    ],
)
def test_what_is_no_sound_musicxml_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(FileFormatError, match=said) as error:
        check_xml(text.encode(), Limits(events=1_000))
    assert "\n" not in str(error.value)


def test_more_bytes_than_allowed_are_not_looked_at() -> None:
    for look in (unpack, check_xml):
        with pytest.raises(FileFormatError, match="too much: 100 bytes"):
            look(bytes(100), Limits(bytes=99))
