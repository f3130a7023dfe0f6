"""The house keeps its own rules."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import musegen

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "musegen"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE, MAX_FUNCTION = 400, 60


def requirements(text: str) -> set[str]:
    """The names of the packages in a list of requirements, spelled as package indexes do."""
    names = re.findall(r'^\s*"?([A-Za-z][A-Za-z0-9._-]*)(?:[<>~!]=?|==)\d', text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


def test_import_is_light() -> None:
    code = "import musegen, sys; print([m for m in ('torch', 'music21', 'click', 'numpy') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("name", musegen.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(musegen, name) is not None
    assert name in dir(musegen)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = musegen.nonsense


def test_everything_the_package_needs_is_pinned() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[project.scripts]")[0]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    needed = requirements(project)
    assert {"torch", "pretty-midi", "ruff"} <= needed
    assert needed <= requirements(pins)
    assert "torch==2.13.0" in pins.splitlines()
    assert all("==" in line for line in pins.splitlines() if line and not line.startswith("#"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or node.lineno) - node.lineno + 1 <= MAX_FUNCTION, node.name


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path in SOURCES if ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None]
    assert silent == []


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text
