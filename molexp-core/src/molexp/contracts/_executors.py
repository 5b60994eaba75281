"""What an executor implements: somewhere to run calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs


@attrs.frozen
class Resources:
    """What a call needs.

    Attributes:
        cores: processor cores.
        memory: bytes of memory, if it matters.
        gpus: accelerators.
        walltime: seconds, if there is a limit.
        extra: whatever else an executor understands, by its own names.
    """

    cores: int = 1
    memory: int | None = None
    gpus: int = 0
    walltime: float | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Call:
    """A picklable call.

    Attributes:
        function: importable by its qualified name in another process.
        args: its positional arguments.
        kwargs: its keyword arguments.
        resources: what it needs.
        name: what to call it in logs and queues.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = attrs.field(factory=dict)
    resources: Resources = attrs.field(factory=Resources)
    name: str = ""


@attrs.frozen
class Outcome:
    """How a call ended.

    Attributes:
        value: what it returned; ``None`` if it failed.
        error: what it raised, or what became of its worker; ``None`` if it succeeded.
    """

    value: Any = None
    error: BaseException | None = None


class Executor(ABC):
    """Runs calls: here, in other processes, on a cluster."""

    name: ClassVar[str]
    """What users write to choose it."""

    @abstractmethod
    async def submit(self, call: Call) -> Outcome:
        """Run `call` and return how it ended.

        An error that the call raises is an outcome, not an error of the executor. A worker that dies is an outcome
        too, whose error says so. Cancelling the awaiting task stops the call where that is possible.
        """
