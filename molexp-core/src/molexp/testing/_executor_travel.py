"""Answers that come from elsewhere: beside what is printed, of any size, with the caller's modules, and once."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from pathlib import Path

import pytest

from molexp.contracts import Call, Executor, Outcome
from molexp.testing import _executor_calls as calls
from molexp.testing._executor_base import ExecutorAccess

_MORE_THAN_A_PIPE_HOLDS = 100_000


class TravelTests(ExecutorAccess, abstract=True):
    """For an executor in this process most of it is true by itself."""

    def test_what_a_call_prints_is_no_part_of_its_answer(self, executor: Executor) -> None:
        async def scene() -> None:
            size = 10 if executor.in_process else _MORE_THAN_A_PIPE_HOLDS
            outcome = await asyncio.wait_for(executor.submit(Call(calls.shout, (size,))), self.patience)
            assert outcome == Outcome(value=size)

        self.play(scene)

    def test_large_values_arrive_whole(self, executor: Executor) -> None:
        large = {"bytes": bytes(range(256)) * 12_000, "numbers": [number / 7 for number in range(50_000)]}
        outcome = self.submit(executor, calls.give, large)
        assert outcome.error is None
        same = outcome.value == large  # too large to be compared in a message
        assert same, "it came back as something else"

    def test_a_call_whose_worker_died_is_not_made_again(self, executor: Executor) -> None:
        if executor.in_process:
            pytest.skip("its calls share this process")

        async def scene() -> None:
            async with self.gate() as gate:
                died = asyncio.create_task(executor.submit(gate.last_call()))
                await gate.arrivals(1)
                again = asyncio.create_task(gate.one_more())
                gate.open()
                done, _ = await asyncio.wait({died, again}, timeout=self.patience, return_when=asyncio.FIRST_COMPLETED)
                assert again not in done, "the call was made again, and may have done half of its work twice"
                again.cancel()
                assert isinstance((await died).error, Exception)

        self.play(scene)

    def test_a_call_finds_the_modules_that_its_caller_finds(self, executor: Executor, tmp_path: Path) -> None:
        """Submit a function of a module in a folder that has just come into ``sys.path``."""
        name = f"molexp_kit_{os.urandom(4).hex()}"
        (tmp_path / f"{name}.py").write_text("def answer():\n    return 42\n", encoding="utf-8")
        sys.path.insert(0, str(tmp_path))
        try:
            importlib.invalidate_caches()
            outcome = self.submit(executor, importlib.import_module(name).answer)
        finally:
            sys.path.remove(str(tmp_path))
            sys.modules.pop(name, None)
        assert outcome == Outcome(value=42)
