"""The step of building a wheel or an editable install that compiles musegen/engine/kernel.c.

With a C compiler the wheel is one for this platform (and any Python 3); without one it is for any, and musegen decodes
in NumPy, to the same bits.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc]  # no types there
    """What hatch looks for."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatch's signature
        """Compile, and tell hatch of the result."""
        build = runpy.run_path(str(Path(self.root) / "musegen" / "engine" / "build.py"))
        reason = build["compiled"]()
        if reason:
            self.app.display_warning(f"musegen decodes without its compiled kernel, slower: {reason}")
            return
        build_data["artifacts"].append("/musegen/engine/kernel.bin")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{next(iter(platform_tags()))}"
