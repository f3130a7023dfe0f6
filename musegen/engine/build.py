"""Compiles kernel.c when the package is installed (scripts/hatch_build.py), or by hand when this is run as a program.

Without a compiler nothing is built, and musegen decodes in NumPy. The variants of one processor family are in one file.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "kernel.bin"
FLAGS = ("-O3", "-std=gnu11", "-fPIC", "-ffp-contract=off", "-fvisibility=default")
VARIANTS: dict[str, dict[str, tuple[str, ...]]] = {
    "x86": {
        "plain": (),
        "avx2": ("-mavx2",),
        "vnni": ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mprefer-vector-width=512"),
    },
    "arm": {"plain": (), "dot": ("-march=armv8.2-a+dotprod",)},
    "other": {"plain": ()},
}
FAMILIES = {"x86_64": "x86", "amd64": "x86", "aarch64": "arm", "arm64": "arm"}


def compiler() -> list[str] | None:
    """The words that start a C compiler that knows gcc's options: $CC, or one that is found."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    found = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    return [found] if found else None


def compiled(output: Path = OUTPUT) -> str:
    """Compile kernel.c to `output`; why not, where it cannot be done, else ""."""
    words = compiler()
    if words is None:
        return "no C compiler was found"
    family = FAMILIES.get(platform.machine().lower(), "other")
    with tempfile.TemporaryDirectory() as folder:
        objects = [str(Path(folder) / "dispatch.o")]
        commands = [[*words, *FLAGS, "-c", str(HERE / "dispatch.c"), "-o", objects[0]]]
        for variant, flags in VARIANTS[family].items():
            objects.append(str(Path(folder) / f"{variant}.o"))
            commands.append(
                [*words, *FLAGS, *flags, f"-DVARIANT={variant}", "-c", str(HERE / "kernel.c"), "-o", objects[-1]]
            )
        whole = str(Path(folder) / "kernel.bin")
        commands.append([*words, "-shared", "-o", whole, *objects, "-lm", "-lpthread"])
        for command in commands:
            try:
                done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603  # our own
            except OSError as error:
                return f"{shlex.join(words)} cannot be started ({error})"
            if done.returncode:
                return f"{shlex.join(command)} failed:\n{done.stderr}"
        shutil.copy(whole, output.with_suffix(".tmp"))
        output.with_suffix(".tmp").replace(output)
    return ""


if __name__ == "__main__":
    raise SystemExit(compiled() or None)
