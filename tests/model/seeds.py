"""The explorer finds each broken version of the protocol at these seeds."""

from __future__ import annotations

import attrs


@attrs.frozen
class Where:
    """Say where a mutant is found.

    Attributes:
        aim: who is stalled, and before what; "" for all kinds of trials.
        variant: the storage; "" for all.
        seed: the first seed, which found it when this was written.
        keepers: whether runs are freed and brought back.
    """

    aim: str = ""
    variant: str = ""
    seed: int = 1000
    keepers: bool = False


FOUND: dict[str, Where] = {
    "a version of data is announced after it was made": Where("", "local", 1365),
    "a journal is deleted that was not sealed": Where("w:append: write", "file", 1205),
    "hints are dropped, and not fenced": Where("w:create", "file", 1026),
    "snapshots are listed before the journals": Where("r:list", "file", 1877),
    "keys are looked for after the runs were read": Where("r:list", "file", 1219),
    "a writer does not look whether his journal was sealed": Where("w:append: write", "file", 1006),
    "journals with hints that are not settled are folded": Where("w:create", "file", 1027),
    "a row is replaced by one that knows less": Where("r:list", "file", 1010),
    "a row without files replaces one with files": Where("", "file", 1065),
    "half a renaming is taken for a whole one": Where("", "local", 1151),
    "what was created at a key that was not announced is not announced": Where("w:create", "file", 1051),
    "hints that were retired come back": Where("r:list", "file", 1118),
    "what is known of a run that was freed holds against what came back": Where("", "file", 12, keepers=True),
    "what is known of a run holds until all of it is freed": Where("", "file", 5946, keepers=True),
    "a snapshot brings back what a run was before it was freed": Where("", "segment", 20206, keepers=True),
    "what contradicts a snapshot is no news": Where("", "file", 74, keepers=True),
    "what came back is not read again": Where("", "file", 128, keepers=True),
    "what came late, after its journal was deleted, is nobody's": Where("", "segment", 196, keepers=True),
    "what was gone before it was ever seen stays in the snapshot": Where("", "segment", 6713, keepers=True),
    "an edit that was fenced when it was gone is still there": Where("", "file", 1332, keepers=True),
    "what was read before a run was gone is taken in": Where("", "segment", 20345, keepers=True),
    "whether a run was freed is asked of what was fetched before": Where("", "segment", 7169, keepers=True),
    "what was announced, and looks as it did, is no news": Where("", "segment", 20206, keepers=True),
    "the edits of a run are read last": Where("", "local", 80182, keepers=True),
    "what is fenced is taken for what is gone, and what is to be read again for read": Where(
        "", "file", 20220, keepers=True
    ),
    "the hint of a run of which nobody knows whether it is there is withdrawn": Where(
        "", "segment", 1662, keepers=True
    ),
    "what only journals announced that a reader has never seen is waited for": Where(
        "", "segment", 20623, keepers=True
    ),
    "a snapshot does not say of what its author has never seen that it is gone": Where(
        "", "segment", 20352, keepers=True
    ),
}
"""The others were found as they once stood in the code, or by chance; they take thousands of trials.

Each schedule is another one as soon as the code asks the store for something more. Where a mutant is not found any more, look
for another seed: ``python -m tests.model.explore --mutant NAME --keepers --variant file --seed 5000 --count 20000``.
"""
