"""The pages about the edges name everything that can be set there."""

from __future__ import annotations

import re

from doc_pages import ROOT

from adapters.halo.tenant_profile import keys

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
