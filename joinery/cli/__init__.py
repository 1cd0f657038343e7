"""The command line: ``joinery --help`` lists the commands, each of their helps has examples that can be pasted."""

import sys
from io import TextIOWrapper


def main() -> None:
    """Run the command line; ends the process with 0, 1 or 2 (``joinery --help`` says which means what)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that knows few letters gets question marks, not a failure.
            stream.reconfigure(errors="replace")
    # Inside, so that importing the package stays free of charge.
    from joinery.cli.commands import app

    app()
