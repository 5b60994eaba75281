"""A writer, or a compactor, is killed before and after every store operation of a scenario; each time all is there."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

SAMPLES = 30
TEARING = {"append", "appender.write"}
"""Operations of which a kill can leave half: on the side "torn", the others are killed before they begin."""

CHANGING = {
    *TEARING,
    *("create", "write", "delete", "rename", "link_from"),
    *("open_append", "appender.close", "writer.enter", "writer.write", "writer.exit"),
}
"""Operations that change what others see: between two of them, a kill leaves the same files whenever it comes."""


def count(zygotes, case: str = "scenario") -> list[str]:
    """The operations of the scenario, by running it to its end."""
    ((_, answer),) = zygotes.run([{"case": case, "k": 0, "side": "before", "count": True}])
    assert answer["ok"], answer["error"]
    assert not answer["killed"]
    operations: list[str] = answer["operations"]
    return operations


def changes_of(operations: list[str], names: set[str]) -> list[int]:
    """Return where these operations are; of the pieces that a file is written in, the first and the last."""
    pieces = {k for k in range(2, len(operations)) if operations[k - 2 : k + 1] == ["writer.write"] * 3}
    return [k for k, name in enumerate(operations, 1) if name in names and k not in pieces]


def places_of(operations: list[str], names: set[str]) -> list[int]:
    """Return where these operations are, and those that follow one: a thread of the scenario's own makes numbers vary."""
    found = changes_of(operations, names)
    return sorted({*found, *(k + 1 for k in found if k < len(operations))})


def report(answers: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    failed = sorted((request["k"], request["side"], answer["error"]) for request, answer in answers if not answer["ok"])
    assert not failed, (
        f"{len(failed)} of {len(answers)} kills, such as at {failed[0][:2]}:\n{failed[0][2]}\n"
        + "\n".join(f"{k} {side}: {error.strip().splitlines()[-1][:300]}" for k, side, error in failed)
    )


def all_were_killed(answers: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Every writer was killed but for those that had fewer operations this time: a thread of its own makes that vary."""
    alive = [(request["k"], len(answer["operations"])) for request, answer in answers if not answer["killed"]]
    assert all(operations < k for k, operations in alive), alive
    assert len(alive) <= len(answers) // 10, alive


def test_the_scenario_uses_every_kind_of_operation(zygotes):
    kinds = Counter(count(zygotes))

    wanted = {"read", "write", "create", "stat", "delete", "children", "append", "open_append", "sync", "link_from"}
    assert wanted <= kinds.keys(), kinds
    assert {"appender.write", "appender.close", "writer.enter", "writer.write", "writer.exit"} <= kinds.keys(), kinds


@pytest.mark.parametrize("half", [0, pytest.param(1, marks=pytest.mark.long)])
def test_a_kill_at_sampled_operations_loses_nothing(zygotes, half):
    operations = count(zygotes)
    total = len(operations)
    points = {(1 + index * total // SAMPLES, ("before", "after")[index % 2]) for index in range(SAMPLES)}
    points |= {(k, "after") for k, name in enumerate(operations, 1) if name in ("write", "writer.exit")}  # replacements

    picked = sorted(points, key=lambda point: (point[1], point[0]))[half::2]  # of each side, every second one

    answers = zygotes.run([{"case": "scenario", "k": k, "side": side, "count": True} for k, side in picked])

    report(answers)
    all_were_killed(answers)


def killed_at(zygotes, points: list[int], side: str) -> None:
    answers = zygotes.run([{"case": "scenario", "k": k, "side": side, "count": True} for k in points])

    report(answers)
    all_were_killed(answers)


@pytest.mark.soak
def test_a_kill_before_or_after_every_second_change_loses_nothing(zygotes):
    killed_at(zygotes, places_of(count(zygotes), CHANGING)[::2], "before")


@pytest.mark.soak
def test_a_kill_within_every_second_append_loses_nothing(zygotes):
    killed_at(zygotes, changes_of(count(zygotes), TEARING)[::2], "torn")


@pytest.mark.long
@pytest.mark.parametrize("side", ["before", "torn"])
def test_a_kill_at_every_operation_loses_nothing(zygotes, side):
    operations = count(zygotes)
    killed_at(zygotes, places_of(operations, TEARING if side == "torn" else {*operations}), side)


# ------------------------------------------------------------------------------------------------------------- compactors


def test_a_compaction_uses_what_it_needs(zygotes):
    kinds = Counter(count(zygotes, "compaction"))

    assert {"rename", "create", "delete", "children", "read", "writer.exit"} <= kinds.keys(), kinds


def test_a_compactor_that_is_killed_leaves_something_that_others_go_on_with(zygotes):
    operations = count(zygotes, "compaction")
    changing = ("rename", "create", "delete", "write", "writer.exit")
    changes = [k for k, name in enumerate(operations, 1) if name in changing]
    points = [(k, side) for k in changes for side in ("before", "after")][1::8]

    answers = zygotes.run([{"case": "compaction", "k": k, "side": side} for k, side in points])

    report(answers)
    assert sum(answer["killed"] for _, answer in answers) == len(points)


@pytest.mark.long
def test_a_compactor_that_is_killed_at_every_operation(zygotes):
    total = len(count(zygotes, "compaction"))

    answers = zygotes.run([{"case": "compaction", "k": k, "side": "before"} for k in range(1, total + 1)])

    report(answers)
    assert sum(answer["killed"] for _, answer in answers) >= total - 2
