"""Tests that need something beside us: where it is missing they are skipped on a laptop, aloud, and fail in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

AZURITE = "Azurite is not installed, so NOTHING was tested against the Table and the Blob service: install Node.js and run `make test`"
FUNCTIONS = "Microsoft's engine of the Functions worker is not installed, so NOTHING was tested under it: run `make test`"
HALOPSA = "The package halopsa is not installed, so NOBODY ELSE'S client read what we wrote: run `make test`"


def not_run(why: str) -> NoReturn:
    """End a test that cannot run here."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
