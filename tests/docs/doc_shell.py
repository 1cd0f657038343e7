"""A shell for what pages tell people to paste."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from doc_pages import ROOT


@dataclass(frozen=True, kw_only=True, slots=True)
class Shell:
    """Runs what a page tells people to paste."""

    environment: dict[str, str]

    def run(self, *scripts: str) -> list[str]:
        """Run the scripts one after the other in one shell, as somebody who pastes them does; returns what each printed."""
        mark = "=== end of a block ==="
        whole = "set -eu\n" + "".join(f"{script}\necho; echo '{mark}'\n" for script in scripts)
        done = subprocess.run(["sh", "-c", whole], env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=110)
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return [part.strip() for part in done.stdout.split(mark)[:-1]]
