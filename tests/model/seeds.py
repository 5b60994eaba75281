"""Where the explorer finds each broken version of the protocol."""

from __future__ import annotations

import attrs


@attrs.frozen
class Where:
    """Where a mutant is found.

    Attributes:
        aim: who is stalled, and before what; "" for all kinds of trials.
        variant: the storage; "" for all.
        seed: the first seed, which is near one that found it when this was written.
        keepers: whether runs are freed and brought back.
    """

    aim: str = ""
    variant: str = ""
    seed: int = 1000
    keepers: bool = False


FOUND: dict[str, Where] = {
    "a version of data is announced after it was made": Where(seed=1020),
    "a journal is deleted that was not sealed": Where("w:append: write", "file", 1005),
    "hints are dropped, and not fenced": Where("w:create", "file"),
    "snapshots are listed before the journals": Where("r:list", "file", 1810),
    "keys are looked for after the runs were read": Where("r:list", "file", 1128),
    "a writer does not look whether his journal was sealed": Where("w:append: write", "file"),
    "journals with hints that are not settled are folded": Where("w:create", "file"),
    "a row is replaced by one that knows less": Where("r:list", "file"),
    "a row without files replaces one with files": Where(seed=1036),
    "a first snapshot has only what is new": Where(seed=1030),
    "half a renaming is taken for a whole one": Where(seed=1024),
    "what was created at a key that was not announced is not announced": Where("w:create", seed=1048),
    "hints that were retired come back": Where("r:list", "file", 1055),
    "what is known of a run that was freed holds against what came back": Where(seed=1, keepers=True),
    "what is known of a run holds until all of it is freed": Where("", "segment", 8, keepers=True),
    "a snapshot brings back what a run was before it was freed": Where("", "segment", 85, keepers=True),
    "what contradicts a snapshot is no news": Where("", "file", 5, keepers=True),
    "another run of the name that was deleted leaves the one before it in place": Where(
        "", "segment", 15, keepers=True
    ),
    "what came back is not read again": Where("", "file", 5, keepers=True),
    "what came late, after its journal was deleted, is nobody's": Where("", "segment", 20, keepers=True),
    "what was gone before it was ever seen stays in the snapshot": Where("", "segment", 18, keepers=True),
    "of two rows that each have what the other lacks, one is kept": Where("", "file", 18),
    "an edit that was fenced when it was gone is still there": Where("", "file", 610, keepers=True),
    "what was read before a run was gone is taken in": Where("", "file", 545, keepers=True),
    "what a snapshot has, and was announced since journals were read, is taken for gone": Where(
        "", "file", 80070, keepers=True
    ),
    "a snapshot is taken into an index that others have brought up to date meanwhile": Where(
        "", "file", 71570, keepers=True
    ),
    "whether a run was freed is asked of what was fetched before": Where("", "segment", 71490, keepers=True),
    "what was announced, and looks as it did, is no news": Where("", "file", 70210, keepers=True),
    "the edits of a run are read last": Where("", "local", 80180, keepers=True),
    "what is fenced is taken for what is gone, and what is to be read again for read": Where(
        "", "local", 30090, keepers=True
    ),
    "what folded objects announce is forgotten": Where("", "segment", 30040, keepers=True),
    "who was stopped before he shows a run does not look again": Where("", "local", 30030, keepers=True),
    "the hint of a run of which nobody knows whether it is there is withdrawn": Where(
        "", "segment", 1440, keepers=True
    ),
    "what only journals announced that a reader has never seen is waited for": Where("", "segment", 1260, keepers=True),
    "a snapshot does not say of what its author has never seen that it is gone": Where("", "file", 1430, keepers=True),
    "an owner who was silent for long does not look whether the run was freed": Where("", "local", 1200, keepers=True),
    "what was read before a doubt settles it": Where("", "file", 5000, keepers=True),
    "what the last segment says is gone, and is there, is no news": Where("", "file", 5000, keepers=True),
    "the end of a dead owner is written into a run that is being freed": Where("", "file", 20160, keepers=True),
}
"""The others were found as they once stood in the code, or by chance; they take thousands of trials."""
