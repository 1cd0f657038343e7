"""The file that comes of a probe: Joinery reads it back as it was, people see what was measured, and nothing is overwritten unasked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.halo.probe import ProbeResult, ProbeStep
from adapters.halo.probe_file import write_profile
from adapters.halo.tenant_profile import TenantProfile, keys, read_profile
from joinery.errors import ConfigurationError

RESULT = ProbeResult(
    steps=(
        ProbeStep(number=1, name="reach the desk", state="well", saw="version 2.250.1"),
        ProbeStep(number=9, name="answer the approval", state="skipped", saw="a person has to answer,\nand [nobody] = is here"),
    ),
    profile=TenantProfile(close_by="action", approved=(10, 11), rejected=(20,)),
    version="2.250.1",
    measured=frozenset({"close_by", "role_mode"}),
    left=(),
    search_lag=timedelta(seconds=25),
    at=datetime(2026, 11, 24, 1, 15, tzinfo=UTC),
)


@pytest.mark.parametrize(
    "profile",
    [
        TenantProfile(),
        RESULT.profile,
        TenantProfile(
            tenant_in="form",
            window_seconds=60,
            page_size=5,
            strategies=("recent",),
            note_outcomes=('Say "this" \\ that', "Größe 💬", "tab\there\x7f"),
            note_outcome_id=4,
            close_outcome="# no [comment] = 'here'",
            match_fields=("email",),
            directory_field="CFentraId",
            manager_field="other3",
            role_mode="add_roles",
            write_flags=("_isimport",),
            application="Joinery's own",
            actors=("doneBy.app",),
        ),
    ],
)
def test_a_profile_that_was_written_reads_as_the_same(tmp_path: Path, profile: TenantProfile) -> None:
    path = tmp_path / "halo.toml"
    write_profile(path, replace(RESULT, profile=profile, version="2.250\n[auth]\nstray = 1\x7f"))
    assert read_profile(path) == profile


def test_the_file_says_what_was_measured_when_and_at_which_version(tmp_path: Path) -> None:
    path = tmp_path / "halo.toml"
    write_profile(path, RESULT)
    text = path.read_text(encoding="utf-8")
    for line in (
        "# Habits of one Halo, version 2.250.1, probed on 2026-11-24.",
        "# A new ticket was found after 25 s; JOINERY_SEARCH_LAG_SECONDS=75 leaves room.",
        "# Step 9, answer the approval: skipped. a person has to answer, and [nobody] = is here",
    ):
        assert line in text
    told = dict(zip((name for name, *_ in keys()), [line for line in text.splitlines() if "easured: " in line], strict=True))
    assert {name for name, line in told.items() if line.startswith("# Measured: ")} == {"close.by", "agents.role_mode"}
    assert "reach the desk" not in text, "what went well needs no words"


def test_a_file_that_is_there_is_replaced_only_where_that_was_said(tmp_path: Path) -> None:
    path = tmp_path / "halo.toml"
    path.write_text("# mine\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"halo\.toml: is there already\. Name another file"):
        write_profile(path, RESULT)
    assert path.read_text(encoding="utf-8") == "# mine\n"
    write_profile(path, RESULT, overwrite=True)
    assert read_profile(path) == RESULT.profile
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_cannot_be_written_is_a_finding(tmp_path: Path, overwrite: bool) -> None:
    with pytest.raises(ConfigurationError, match=r"halo\.toml: cannot be written \(No such file or directory\)"):
        write_profile(tmp_path / "nowhere" / "halo.toml", RESULT, overwrite=overwrite)
