"""SIGKILL beside every commit and every outside call of a joiner's and a leaver's story: nobody can tell afterwards."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from crash_story import CrashStory, Point


def _chosen(calls: Sequence[str], *, half: int) -> list[Point]:
    """All points in a campaign. Else the two tests share what is known to write on the desk, and each takes a sample of the others."""
    points = [Point(call=call, when=when) for call in calls for when in ("before", "after")]
    if os.environ.get("JOINERY_CAMPAIGN"):
        return points
    writes = [point for point in points if point.call.startswith("perform")]
    others = [point for point in points if not point.call.startswith("perform")]
    return writes[half::2] + others[10 * half :: 20]


@pytest.mark.servers
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("apart", "half"), [(True, 0), (False, 1)], ids=["ours alone, the stand-ins apart", "the whole of it"])
def test_a_kill_beside_any_call_changes_nothing_that_can_be_seen(tmp_path: Path, apart: bool, half: int) -> None:
    """Same end state: one ticket per story, linked to the one user, who is inactive; the agent without roles; no note twice."""
    story = CrashStory(tmp_path, apart=apart)
    try:
        points = _chosen(story.calls(), half=half)
        for point in points:
            story.crash_at(point)
        # The order of looks and sends is the wire's; a name that did not come up this time is no failure, many are.
        assert len(story.reached) >= 0.8 * len(points), [str(point) for point in story.missed]
        story.nothing_is_left_over()
    finally:
        story.end()
