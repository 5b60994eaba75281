"""The executors of one or several executions, by name: made when they are first needed, closed together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from molexp._workflow.tasks import INLINE
from molexp.errors import ProfileError

if TYPE_CHECKING:
    from molexp.contracts import Executor, Resources
    from molexp.plugins import PluginManager


class Executors:
    """Executors by name.

    Args:
        plugins: those who have them.
        workers: the number of calls at a time that each executes at most.
        otherwise: the same where `workers` is None, but for executors with a queue of their own.
        options: further arguments of executors, by name.
    """

    def __init__(
        self,
        plugins: PluginManager | None = None,
        *,
        workers: int | None = None,
        otherwise: int | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._plugins = plugins
        self._workers = workers
        self._otherwise = otherwise
        self._options = options or {}
        self._made: dict[str, Executor] = {}

    def check(self, names: Iterable[str]) -> None:
        """Raise unless all of these exist, before anything is executed.

        Raises:
            PluginMissingError: there is no such executor; with the nearest names.
            ProfileError: it does not take its options.
        """
        for name in names:
            if name in self._options:
                self[name]
            elif name != INLINE:
                self._class(name)

    def __getitem__(self, name: str) -> Executor:
        """Return the executor of this name.

        Raises:
            PluginMissingError: there is none; with the nearest names.
        """
        if (found := self._made.get(name)) is None:
            found = self._made[name] = self._new(name)
        return found

    def _new(self, name: str) -> Executor:
        options = self._options.get(name, {})
        kind = self._class(name)
        workers = self._workers if self._workers is not None or kind.queues else self._otherwise
        try:
            return kind(workers=workers, **options)
        except (TypeError, ValueError) as error:
            if not options:
                raise
            raise ProfileError(
                "", f"the executor {name!r} does not take scheduler={dict(options)!r}: {error}"
            ) from error

    def _class(self, name: str) -> type[Executor]:
        if self._plugins is None:
            from molexp.plugins import default_manager

            self._plugins = default_manager()
        return self._plugins.executor(name)

    def queues(self, name: str) -> bool:
        """Tell whether an executor has a queue of its own.

        Raises:
            PluginMissingError: there is none of this name; with the nearest names.
        """
        return name != INLINE and self._class(name).queues

    async def check_resources(self, name: str, resources: Resources) -> None:
        """Raise unless calls can get these resources from an executor.

        Raises:
            ProfileError: they cannot.
        """
        if name != INLINE:
            try:
                await self[name].check(resources)
            except ValueError as error:
                raise ProfileError(
                    "", f"the executor {name!r} cannot give what the profile asks for: {error}"
                ) from error

    async def close(self) -> None:
        """Let go of their workers."""
        while self._made:
            _, executor = self._made.popitem()
            await executor.close()
