"""Writers that track runs in a loop are killed at random instants, several at once; each time all is well."""

from __future__ import annotations

import pytest


def check(zygotes, seeds: range, kills: int, writers: int) -> int:
    """Kill in as many workspaces as there are seeds; returns how often."""
    answers = zygotes.run([{"case": "random", "seed": seed, "kills": kills, "writers": writers} for seed in seeds])
    failed = [(request["seed"], answer["error"]) for request, answer in answers if not answer["ok"]]
    assert not failed, f"{len(failed)} of {len(answers)}, such as seed {failed[0][0]}:\n{failed[0][1]}"
    assert all(answer["runs"] > 1 for _, answer in answers), answers
    return sum(answer["kills"] for _, answer in answers)


def test_a_few_kills_at_random_instants_lose_nothing(zygotes):
    assert check(zygotes, range(2), kills=9, writers=3) >= 15


@pytest.mark.parametrize(
    "writers", [*(pytest.param(few, marks=pytest.mark.long) for few in (1, 2)), pytest.param(4, marks=pytest.mark.soak)]
)
def test_many_kills_at_random_instants_lose_nothing(zygotes, writers):
    assert check(zygotes, range(10 * writers, 10 * writers + 3), kills=20, writers=writers) >= 60
