"""MusicXML as it arrives: unpacked from a compressed file (.mxl), and looked over before anything builds on it.

A few bytes of zip or XML can ask for gigabytes (bombs, entities within entities) or for other people's files
(external entities, member names that are paths). Here they are counted, or refused; nothing is fetched and
nothing is written.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from typing import NoReturn
from xml.parsers import expat

from musegen.errors import FileFormatError
from musegen.score.formats.options import Limits

CONTAINER = "META-INF/container.xml"
MAX_MEMBERS = 1_000
MAX_DEPTH = 100
"""MusicXML itself nests about ten deep."""
ROOTS = ("score-partwise", "score-timewise")

_MEMBER = b"PK\x01\x02"  # how an entry of a zip's directory begins
_CONTAINER_BYTES = 100_000
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_CHUNK = 2**16

StartElement = Callable[[str, dict[str, str]], None]


def unpack(data: bytes, limits: Limits) -> bytes:
    """The MusicXML document of an .mxl file: the one its container names, or else its only XML member.

    Raises:
        FileFormatError: if it is no zip, damaged, encrypted, holds no MusicXML, or more than `limits` allow.
    """
    limits.check("bytes", len(data))
    members = data.count(_MEMBER)
    if members > MAX_MEMBERS:  # before zipfile makes an object of each
        raise FileFormatError(f"too much: {members} files in the .mxl, where {MAX_MEMBERS} are allowed")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {info.filename: info for info in archive.infolist()}
            return _member(archive, names[_root_name(archive, names)], limits)
    except (zipfile.BadZipFile, NotImplementedError, zlib.error, EOFError, ValueError, OSError) as error:
        raise FileFormatError(f"not an .mxl file, or a damaged one ({str(error)[:100]}); unzip it yourself") from None


def _root_name(archive: zipfile.ZipFile, names: dict[str, zipfile.ZipInfo]) -> str:
    """The name of the member that holds the score."""
    if CONTAINER in names:
        limits = Limits(bytes=_CONTAINER_BYTES, events=10_000)
        for name, _ in _rootfiles(_member(archive, names[CONTAINER], limits), limits):
            if name not in names:
                raise FileFormatError(
                    f"the container names {name[:80]!r}, which the .mxl does not hold; export it anew"
                )
            return name
    scores = [
        name
        for name in names
        if name.lower().endswith((".xml", ".musicxml")) and not name.startswith(("META-INF/", "__MACOSX/"))
    ]
    if len(scores) != 1:
        raise FileFormatError(f"the .mxl names no score and holds {len(scores)} XML files; unzip it and name the file")
    return scores[0]


def _rootfiles(data: bytes, limits: Limits) -> list[tuple[str, str]]:
    """(path, media type) of the container's root files, MusicXML before what says it is something else."""
    found: list[tuple[str, str]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(":")[2] == "rootfile" and "full-path" in attributes:
            found.append((attributes["full-path"], attributes.get("media-type", "")))

    _parse(data, limits, start)
    return sorted(found, key=lambda root: bool(root[1]) and "musicxml" not in root[1])


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: Limits) -> bytes:
    """The bytes of one member, counted while they are inflated: the size a zip declares may be a lie."""
    if info.flag_bits & 1:
        raise FileFormatError("the .mxl is encrypted; unpack it with its password first")
    if info.compress_type not in _METHODS:
        raise FileFormatError(f"the .mxl is packed by method {info.compress_type}; unzip it yourself")
    limits.check("bytes", info.file_size)
    chunks, size = [], 0
    with archive.open(info) as member:
        while chunk := member.read(_CHUNK):
            size += len(chunk)
            limits.check("bytes", size)
            chunks.append(chunk)
    return b"".join(chunks)


def check_xml(data: bytes, limits: Limits) -> None:
    """Look a MusicXML document over in one pass, keeping nothing of it.

    Raises:
        FileFormatError: if it is malformed, declares anything of its own in its DOCTYPE, is no partwise or timewise
            score, has more elements than `limits.events` or nests deeper than MAX_DEPTH; with the position.
    """
    limits.check("bytes", len(data))
    roots: list[str] = []

    def start(name: str, _: dict[str, str]) -> None:
        if not roots:
            roots.append(name)
            if name not in ROOTS:
                raise FileFormatError(f"not MusicXML: the document is a {name[:40]!r}, not a {' or a '.join(ROOTS)}")

    _parse(data, limits, start)


def _parse(data: bytes, limits: Limits, start: StartElement) -> None:
    """Call `start` for each element; entities are refused before they can grow, since none may be declared."""
    parser = expat.ParserCreate()
    depth = elements = 0

    def refuse(what: str) -> NoReturn:
        place = f"line {parser.CurrentLineNumber}, column {parser.CurrentColumnNumber + 1}"
        raise FileFormatError(f"{what} ({place})")

    def doctype(_name: str, _system: str | None, _public: str | None, has_internal_subset: int) -> None:
        if has_internal_subset:
            refuse("the DOCTYPE declares entities or elements, which is not safe to read; remove what stands in [ ]")

    def start_element(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth += 1
        elements += 1
        if depth > MAX_DEPTH:
            refuse(f"not MusicXML: elements nested deeper than {MAX_DEPTH}")
        if elements > limits.events:
            limits.check("events", data.count(b"<"))
            refuse(f"too much: more than {limits.events} elements")
        start(name, attributes)

    def end_element(_: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartDoctypeDeclHandler = doctype
    parser.EntityDeclHandler = lambda *_: refuse("the document declares entities; remove them")
    parser.StartElementHandler = start_element
    parser.EndElementHandler = end_element
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        place = f"line {error.lineno}, column {error.offset + 1}"
        raise FileFormatError(f"malformed XML: {expat.ErrorString(error.code)} ({place})") from None
    except (LookupError, ValueError) as error:  # an encoding that Python does not know, or of several bytes
        raise FileFormatError(f"XML in an encoding that cannot be read ({str(error)[:80]}); save it as UTF-8") from None
