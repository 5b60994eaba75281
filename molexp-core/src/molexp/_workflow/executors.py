"""The executors of one or several executions, by name: made when they are first needed, closed together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from molexp._workflow.tasks import INLINE

if TYPE_CHECKING:
    from molexp.contracts import Executor
    from molexp.plugins import PluginManager


class Executors:
    """Executors by name."""

    def __init__(self, plugins: PluginManager | None = None, *, workers: int | None = None) -> None:
        self._plugins = plugins
        self._workers = workers
        self._made: dict[str, Executor] = {}

    def check(self, names: Iterable[str]) -> None:
        """Raise unless all of these exist, before anything is executed.

        Raises:
            PluginMissingError: there is no such executor; with the nearest names.
        """
        for name in names:
            if name != INLINE:
                self._class(name)

    def __getitem__(self, name: str) -> Executor:
        """Return the executor of this name.

        Raises:
            PluginMissingError: there is none; with the nearest names.
        """
        if (found := self._made.get(name)) is None:
            found = self._made[name] = self._class(name)(workers=self._workers)
        return found

    def _class(self, name: str) -> type[Executor]:
        if self._plugins is None:
            from molexp.plugins import default_manager

            self._plugins = default_manager()
        return self._plugins.executor(name)

    async def close(self) -> None:
        """Let go of their workers."""
        while self._made:
            _, executor = self._made.popitem()
            await executor.close()
