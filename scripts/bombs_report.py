"""What small files that ask for much cost `musegen info`: seconds and peak memory of each, in a process of its own.

python scripts/bombs_report.py
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from multiprocessing import Process
from pathlib import Path

MIDI_HEADER = b"MThd\0\0\0\6\0\0\0\1\1\xe0"
END = b"\0\xff\x2f\0"
XML = (
    '<?xml version="1.0"?>\n<!DOCTYPE score-partwise [{}]>\n<score-partwise><part-list>{}</part-list></score-partwise>'
)


def midi(body: bytes) -> bytes:
    """A file of one track."""
    return MIDI_HEADER + b"MTrk" + len(body).to_bytes(4, "big") + body


def bombs() -> dict[str, bytes]:
    """Name -> content."""
    laughs = '<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefghi", "bcdefghij", strict=True)
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "META-INF/container.xml", '<container><rootfiles><rootfile full-path="a.xml"/></rootfiles></container>'
        )
        with archive.open("a.xml", "w", force_zip64=True) as member:
            member.write(b"<score-partwise>")
            for _ in range(1024):
                member.write(b" " * 2**20)
    return {
        "two notes 2**28 - 1 ticks apart.mid": midi(b"\0\x90\x3c\x40\xff\xff\xff\x7f\x80\x3c\x40" + END),
        "3,600 notes in 16 hours.mid": midi(b"\x81\x70\x90\x3c\x40\xf1\x10\x80\x3c\x40" * 3600 + END),
        "65,535 tracks of nothing.mid": b"MThd\0\0\0\6\0\1\xff\xff\1\xe0" + (b"MTrk\0\0\0\4" + END) * 65_535,
        "a sysex message of 256 MB that is not there.mid": midi(b"\0\xf0\xff\xff\xff\x7f" + END),
        "15 million empty texts.mid": midi(b"\0\xff\1\0" * 15_000_000 + END),
        "a wait of 600,000 bytes.mid": midi(b"\0\x90\x3c\x40" + b"\xff" * 600_000 + b"\0\x80\x3c\x40" + END),
        "400,000 sysex messages without an end.mid": midi(b"\0\xf0\xff\xff\xff\x7f" * 400_000),
        "400,000 chunks of other kinds.mid": MIDI_HEADER + b"Junk\0\0\0\0" * 400_000,
        "60,000 changes of key.abc": b"X:1\nK:C\n" + b"K:G\nC|\n" * 60_000,
        "20 MB of statuses.mid": midi(b"\0\xff" * 10_000_000),
        "20 MB of note-ons.mid": midi(b"\0\x90" + b"\0\x3c\x40"[1:] + b"\0\x3c\x40" * 6_700_000 + END),
        "billion laughs.musicxml": XML.format(laughs, "&j;").encode(),
        "quadratic blow-up.musicxml": XML.format(f'<!ENTITY a "{"a" * 50_000}">', "&a;" * 50_000).encode(),
        "external entity.musicxml": XML.format('<!ENTITY a SYSTEM "file:///etc/passwd">', "&a;").encode(),
        "1 GB in 1 MB.mxl": packed.getvalue(),
        "100,000 levels of XML.musicxml": b"<score-partwise>" + b"<a>" * 100_000,
        "a JSON of 20 million brackets.json": b"[" * 20_000_000,
    }


def run(path: Path) -> tuple[int, str, float, float]:
    """Exit code, stderr, seconds and peak MB of `musegen info`, its children included."""
    began = time.monotonic()
    with subprocess.Popen(  # noqa: S603  # our own command
        [sys.executable, "-m", "musegen", "info", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, said, time.monotonic() - began, usage.ru_maxrss / 1024


def make(folder: str) -> None:
    """Write them; in a process of its own, since a child's peak memory includes what its parent had at the fork."""
    for number, (name, data) in enumerate(bombs().items()):
        (Path(folder) / f"{number:02d} {name}").write_bytes(data)


def main() -> None:
    """Print the table."""
    print("| file | bytes | exit | seconds | peak MB | says |\n|---|---:|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder:
        maker = Process(target=make, args=(folder,))
        maker.start()
        maker.join()
        for made in sorted(Path(folder).iterdir()):
            path = made.rename(made.with_name(f"bomb{made.suffix}"))
            code, said, seconds, megabytes = run(path)
            line = said.strip().removeprefix(f"musegen: {path}: ").replace("|", "/")[:110]
            size = path.stat().st_size
            print(f"| {made.stem[3:]} | {size:,} | {code} | {seconds:.2f} | {megabytes:.0f} | {line} |")
            path.unlink()


if __name__ == "__main__":
    main()
