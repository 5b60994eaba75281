"""A sync is killed before and after every operation at its destination; each time it is a workspace, and is completed."""

from __future__ import annotations

import pytest

from tests.crash.test_kill_at_every_operation import CHANGING, changes_of, report

SAMPLES = 10
WHOLE = {"create", "write", "writer.exit", "append"}


def count(zygotes, older: bool) -> list[str]:
    """The operations of a sync."""
    ((_, answer),) = zygotes.run([{"case": "sync", "k": 0, "side": "before", "count": True, "older": older}])
    assert answer["ok"], answer["error"]
    operations: list[str] = answer["operations"]
    return operations


@pytest.mark.parametrize("older", [False, True], ids=["a new place", "an older copy"])
def test_a_sync_that_is_killed_leaves_a_workspace_and_is_completed(zygotes, older):
    operations = count(zygotes, older)
    changes = [k for k, name in enumerate(operations, 1) if name in WHOLE]
    assert set(operations) >= WHOLE
    picked = changes[:: -(-len(changes) // (SAMPLES // 2))]
    points = [(k, ("before", "after")[index % 2]) for index, k in enumerate(picked)]

    answers = zygotes.run([{"case": "sync", "k": k, "side": side, "older": older} for k, side in points])

    report(answers)
    assert all(answer["killed"] for _, answer in answers)


SIDES = pytest.mark.parametrize(
    ("side", "older"), [("before", False), ("after", True)], ids=["before, a new place", "after, an older copy"]
)


def killed_at(zygotes, points: list[int], side: str, older: bool) -> None:
    answers = zygotes.run([{"case": "sync", "k": k, "side": side, "older": older} for k in points])

    report(answers)
    assert sum(answer["killed"] for _, answer in answers) >= len(points) - 2


@pytest.mark.soak
@SIDES
def test_a_sync_that_is_killed_at_every_fourth_change(zygotes, side, older):
    """Between two changes a kill leaves the same files whenever it comes; `tests.power` cuts a sync at every operation."""
    points = changes_of(count(zygotes, older), CHANGING)
    assert len(points) > 30
    killed_at(zygotes, points[::4], side, older)


@pytest.mark.long
@SIDES
def test_a_sync_that_is_killed_at_every_operation(zygotes, side, older):
    killed_at(zygotes, [*range(1, len(count(zygotes, older)) + 1)], side, older)
