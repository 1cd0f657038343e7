"""How a command ends: exit codes, and findings in place of tracebacks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable

import typer

from joinery.errors import ConfigurationError, Finding, JoineryError

#: All is well.
WELL = 0
#: It ran, and what it found is not as it should be.
NOT_WELL = 1
#: It did not run: a setting, the policy, a port, the data folder or the command line is wrong.
WRONG = 2


def finding(place: str, problem: str, remedy: str) -> ConfigurationError:
    """One finding, to be raised."""
    return ConfigurationError([Finding(place=place, problem=problem, remedy=remedy)])


def print_findings(findings: Iterable[Finding]) -> None:
    """All of them to standard error, a line each."""
    for one in findings:
        print(f"joinery: {one}", file=sys.stderr, flush=True)  # noqa: T201 - a command speaks to its user


def end(command: Callable[[], int]) -> None:
    """Run a command and leave with its exit code; a JoineryError becomes its findings and ``WRONG``."""
    try:
        code = command()
    except ConfigurationError as error:
        print_findings(error.findings)
        code = WRONG
    except JoineryError as error:
        print(f"joinery: {error}", file=sys.stderr, flush=True)  # noqa: T201 - likewise
        code = WRONG
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what is still buffered must not be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = WELL
    raise typer.Exit(code)
