"""The pages about the edges name everything that can be set there."""

from __future__ import annotations

import json
import re

from doc_pages import ROOT

from adapters.halo.tenant_profile import keys
from simulators.halo import Switches

HALO = ROOT / "docs" / "edges" / "halo.md"


def test_the_page_about_halo_names_every_key_of_a_profile_in_its_table() -> None:
    rows = [line.split("|")[2] for line in HALO.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and line.count("|") == 5]
    named = set()
    for cell in rows:
        table = ""
        for found in re.finditer(r"`(?:\[(\w+)\] )?(\w+)`", cell):
            table = found[1] or table
            named.add(f"{table}.{found[2]}")
    assert {key for key, *_ in keys()} <= named


def test_the_page_about_the_stand_ins_names_every_switch_of_the_pretend_halo_with_its_default_first() -> None:
    shown = Switches().shown()
    told: dict[str, str] = {}
    for names, values in re.findall(
        r"^\| (`\w+`(?:, `\w+`)*) \| (.+?) \| ", (ROOT / "docs" / "stand-ins.md").read_text("utf-8"), re.MULTILINE
    ):
        for name, value in zip(re.findall(r"\w+", names), values.split(", "), strict=False):
            told[name] = value.strip("`")
    assert {name: told.get(name) for name in shown} == {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in shown.items()
    }
