"""A probe's result as a file that ``JOINERY_HALO_PROFILE`` can name: every key with its value, and whether it was measured."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from adapters.halo import wire
from adapters.halo.probe import ProbeResult
from adapters.halo.tenant_profile import TenantProfile
from joinery.errors import ConfigurationError, Finding


def write_profile(path: Path, result: ProbeResult, *, overwrite: bool = False) -> None:
    """Write the profile so that ``read_profile`` gives it back.

    Raises:
        ConfigurationError: there is a file already and nobody said that it may be replaced, or it cannot be written.
    """
    text = "\n".join(_lines(result)) + "\n"
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if overwrite:
            # A reader sees the old file or the new one.
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
        else:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except FileExistsError:
        remedy = "Name another file, or say that this one may be replaced."
        raise ConfigurationError([Finding(place=str(path), problem="is there already", remedy=remedy)]) from None
    except OSError as error:
        beside.unlink(missing_ok=True)
        remedy = "Name a file in a folder that exists and may be written."
        raise ConfigurationError([Finding(place=str(path), problem=f"cannot be written ({error.strerror})", remedy=remedy)]) from None


def _lines(result: ProbeResult) -> Iterator[str]:
    yield f"# Habits of one Halo, version {wire.line(result.version, 40) or 'unknown'}, probed on {result.at:%Y-%m-%d}. Name this file in JOINERY_HALO_PROFILE."
    yield "# What is not marked as measured is as it was before the probe."
    if result.about_lag:
        yield f"# {result.about_lag}"
    for step in result.steps:
        if step.state != "well":
            yield f"# Step {step.number}, {step.name}: {step.state}. {wire.line(step.saw, 200)}"
    table = ""
    for one in fields(TenantProfile):
        name, _, key = one.metadata["key"].partition(".")
        if name != table:
            table = name
            yield ""
            yield f"[{table}]"
        yield f"# {'Measured' if one.name in result.measured else 'Not measured'}: {one.metadata['help']}."
        yield f"{key} = {_value(getattr(result.profile, one.name))}"


def _value(value: Any) -> str:
    """As TOML; JSON writes texts, numbers and lists alike, but for the sign that TOML wants escaped."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False).replace("\x7f", "\\u007f")
