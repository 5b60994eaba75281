"""The protocol under a hostile scheduler; see `tests.model.explore` for how to replay what is found here."""

from __future__ import annotations

import secrets

import pytest

from tests.model.exploring import explore

TRIALS = pytest.mark.parametrize("seeds", [range(10), pytest.param(range(10, 25), marks=pytest.mark.soak)], ids=repr)
"""Trials of each variant; those with keepers have more in `test_what_is_freed_and_brought_back_in_more_schedules`."""
MANY = 30  # of each, in a soak
UNSEEN = 1000  # of each, from a seed that nobody has tried
ONCE = (
    ("segment", 30007),
    ("local", 30037),
    ("local", 30096),
    ("segment", 30048),
    ("local", 60059),
    ("segment", 70015),
    ("file", 70223),
    ("segment", 71492),
    ("file", 71575),
    ("file", 80082),
    ("segment", 1264),
    ("segment", 1443),
    ("local", 1024),
    ("local", 1203),
    ("file", 1436),
)
"""Seeds, with keepers, that nothing else here replays, and that found something."""

ONCE_WITHOUT = (("file", 558242002783),)
"""The same, without keepers."""


@TRIALS
@pytest.mark.parametrize("variant", ["file", "local", "segment"])
def test_nothing_is_lost_and_nothing_goes_backwards(variant, seeds):
    done = explore("--variant", variant, "--seed", str(seeds.start), "--count", str(len(seeds)))
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


@pytest.mark.parametrize("variant", ["file", "local", "segment"])
def test_what_is_freed_and_brought_back_is_what_the_files_say(variant):
    done = explore("--variant", variant, "--keepers", "--seed", "0", "--count", "10")
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


@pytest.mark.parametrize(
    ("variant", "seed", "keepers"),
    [*((*one, ["--keepers"]) for one in ONCE), *((*one, []) for one in ONCE_WITHOUT)],
)
def test_what_was_found_once_is_not_found_again(variant, seed, keepers):
    done = explore("--variant", variant, *keepers, "--seed", str(seed))
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


@pytest.mark.soak
@pytest.mark.parametrize("variant", ["file", "local", "segment"])
def test_what_is_freed_and_brought_back_in_more_schedules(variant):
    done = explore("--variant", variant, "--keepers", "--seed", "30000", "--count", str(MANY))
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


@pytest.mark.long
@pytest.mark.parametrize("keepers", [[], ["--keepers"]], ids=["", "keepers"])
@pytest.mark.parametrize("variant", ["file", "local", "segment"])
def test_nothing_is_lost_in_schedules_that_nobody_has_seen(variant, keepers):
    base = secrets.randbelow(1 << 40)
    print(f"the first seed is {base}")
    done = explore("--variant", variant, *keepers, "--seed", str(base), "--count", str(UNSEEN))
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


def test_a_seed_replays_exactly():
    one, other = (
        explore("--variant", "file", "--seed", "7", "--trace").stdout.rpartition("\n1 trials")[0] for _ in "ab"
    )
    assert one.count("\n") > 100
    assert one == other
