"""One array on a real Slurm, for the default suite; the rest is marked ``slurm``."""

from __future__ import annotations

import asyncio
import math

from molexp.contracts import Call, Outcome, Progress
from molexp_slurm import SlurmExecutor


def test_calls_that_come_together_are_one_array_and_tell_how_far_they_are(slurm, tmp_path):
    told: list[Progress] = []

    async def scene():
        async with SlurmExecutor(folder=str(tmp_path / "calls"), interval=30) as executor:
            made = [Call(math.factorial, (number,), told=told.append) for number in (4, 5)]
            return await asyncio.gather(*map(executor.submit, made))

    assert asyncio.run(scene()) == [Outcome(value=24), Outcome(value=120)]
    assert len(slurm.calls("sbatch")) == 1
    steps = [(progress.step, progress.job.partition("_")[2]) for progress in told]
    assert steps[:2] == [("queued", "0"), ("queued", "1")]
    assert sorted(steps[2:]) == [("began", "0"), ("began", "1")]
    assert told[2].host
