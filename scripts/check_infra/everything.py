"""All checks of one copy of the repository."""

from __future__ import annotations

from pathlib import Path

from check_infra import agreement, deployment, hardening, symbols
from check_infra.bicep import read
from joinery.errors import Finding


def findings_in(root: Path) -> list[Finding]:
    """What is wrong with ``infra/``, ``azure.yaml`` and ``.funcignore`` in this folder, in the order of the files.

    Where a file cannot be parsed nothing else is said of any: the rest would follow from it.
    """
    root = root.resolve()
    files = {path: read(path, root) for path in sorted((root / "infra").rglob("*.bicep"))}
    if not files:
        return [Finding(place="infra", problem="has no .bicep file", remedy="Write infra/main.bicep.")]
    broken = [finding for file in files.values() for finding in symbols.broken(file)]
    if broken:
        return broken
    everything = list(files.values())
    return [
        *(finding for file in everything for finding in symbols.findings(file, files)),
        *hardening.findings(everything),
        *agreement.findings(everything),
        *deployment.findings(root, everything),
    ]
