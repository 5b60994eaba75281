"""Uses an executor again and again, and tells what this process has left after each time; `test_process.py` starts it.

In a process of its own, because in one that runs other tests their connections and threads come and go meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import threading
from typing import Any

from molexp.contracts import Call
from tests.executors.builtin import Gate, ProcessExecutor, kit
from tests.executors.counting import children

PID = Call(kit.process_id)


async def scene() -> None:
    """Calls that return, one whose worker dies, and one that is cancelled."""
    async with ProcessExecutor(workers=2) as executor:
        await asyncio.gather(*(executor.submit(PID) for _ in range(4)))
        assert (await executor.submit(Call(kit.die, (1,)))).error
        async with Gate(300) as gate:
            task = asyncio.create_task(executor.submit(gate.call("a")))
            await gate.arrivals(1)
            task.cancel()
            await asyncio.wait({task})


def left() -> dict[str, Any]:
    gc.collect()
    return {
        "children": sorted(children()),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


if __name__ == "__main__":
    found = []
    for _ in range(3):
        asyncio.run(scene())
        found.append(left())
    print(json.dumps(found))
