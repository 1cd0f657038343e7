"""What tests of several folders need: the Table service, as Microsoft's own emulator."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from table_service import AZURITE, Azurite

NOT_RUN = "Azurite is not installed, so NOTHING was tested against the Table service: install Node.js and run `make test`"


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One Azurite per session (and per worker); without Node.js a skip on a laptop and a failure in CI."""
    if shutil.which("node") is None or not AZURITE.is_file():
        if os.environ.get("CI"):
            pytest.fail(NOT_RUN)
        pytest.skip(NOT_RUN)
    made = Azurite(folder=tmp_path_factory.mktemp("azurite"))
    made.start()
    yield made
    made.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A skip is a dot among dots; this one is said aloud."""
    skipped = [one for one in terminalreporter.stats.get("skipped", []) if NOT_RUN in str(one.longrepr)]
    if skipped:
        terminalreporter.section(f"{len(skipped)} tests did not run", sep="!", yellow=True, bold=True)
        terminalreporter.line(NOT_RUN, yellow=True, bold=True)
