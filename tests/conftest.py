"""What tests of several folders need: the Table and the Blob service, as Microsoft's own emulator."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import not_run
import pytest
from table_service import AZURITE, ROOT, Azurite


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One Table service per session (and per worker); without Node.js a skip on a laptop and a failure in CI."""
    yield from _running(Azurite(folder=tmp_path_factory.mktemp("azurite")))


@pytest.fixture(scope="session")
def blob_azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One Blob service per session, whose append blobs take three blocks."""
    few = ROOT / "tests" / "azurite" / "few_blocks.js"
    yield from _running(Azurite(folder=tmp_path_factory.mktemp("azurite"), service="blob", first=few))


def _running(made: Azurite) -> Iterator[Azurite]:
    if shutil.which("node") is None or not AZURITE.is_dir():
        not_run.not_run(not_run.AZURITE)
    made.start()
    yield made
    made.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A skip is a dot among dots; these are said aloud."""
    skipped = [str(one.longrepr) for one in terminalreporter.stats.get("skipped", [])]
    for why in (not_run.AZURITE, not_run.FUNCTIONS, not_run.HALOPSA):
        if count := sum(why in one for one in skipped):
            terminalreporter.section(f"{count} tests did not run", sep="!", yellow=True, bold=True)
            terminalreporter.line(why, yellow=True, bold=True)
