"""Tasks that other processes can import."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from molexp.workflow import TaskContext


def where(ctx: TaskContext) -> int:
    return os.getpid()


async def async_where(ctx: TaskContext) -> int:
    await asyncio.sleep(0)
    return os.getpid()


class Where:
    def execute(self, ctx: TaskContext) -> int:
        return os.getpid()


def everything(ctx: TaskContext) -> Any:
    ctx.set_result("n", 1)
    saved = ctx.artifact.save("a.json", [1])
    return ctx.task, ctx.index, ctx.retry, ctx.inputs, dict(ctx.upstream), ctx.params, ctx.config, ctx.run, saved


def fails(ctx: TaskContext) -> None:
    raise ValueError(f"boom in {ctx.label}")


def fails_once(ctx: TaskContext) -> int:
    if ctx.retry == 0:
        os._exit(9)
    return ctx.retry


def endless(ctx: TaskContext) -> None:
    time.sleep(3000)


def unpicklable(ctx: TaskContext) -> Any:
    return lambda: 1
