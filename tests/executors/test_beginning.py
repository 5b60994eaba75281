"""A call begins when a worker has it, not when it is submitted: until then it waits for its turn."""

from __future__ import annotations

import asyncio
import functools
import pickle

import pytest

from molexp.contracts import Call
from tests.executors.builtin import Gate, InlineExecutor, ProcessExecutor
from tests.executors.builtin import kit as calls


@pytest.mark.parametrize("kind", [InlineExecutor, ProcessExecutor])
def test_with_one_worker_the_second_call_begins_when_the_first_is_over(kind):
    async def scene() -> None:
        began: list[str] = []
        async with kind(workers=1) as executor, Gate(60) as gate:
            made = [
                Call(call.function, call.args, started=functools.partial(began.append, call.args[-1]))
                for call in (gate.call("first"), gate.call("second"))
            ]
            submitted = [asyncio.ensure_future(executor.submit(call)) for call in made]
            await gate.arrivals(1)
            assert began == ["first"]
            gate.open()
            await submitted[0]
            await gate.arrivals(1)
            assert began == ["first", "second"]
            gate.open()
            await submitted[1]

    asyncio.run(scene())


def test_the_callback_of_a_call_is_not_pickled():
    call = Call(calls.add, (1,), name="one", started=lambda: None)

    assert pickle.loads(pickle.dumps(call)) == call
    assert pickle.loads(pickle.dumps(call)).started is None
