"""The executor: calls are sent to the workers of a Dask cluster, by a thread that has the client."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Mapping
from typing import Any, ClassVar

from molexp.contracts import Call, Executor, Outcome, Resources
from molexp_dask._cluster import Place
from molexp_dask._needs import needs_of
from molexp_dask._session import Session


class DaskExecutor(Executor):
    """Runs calls on the workers of a Dask cluster, which is there or is started for it.

    Name the cluster in one of three ways. With none of them, it is the one that Dask's own settings name
    (``DASK_SCHEDULER_ADDRESS``), or else processes of this machine.

    A worker makes each call in a process of its own beside it, as the executor ``process`` does, one for each of its threads: a call
    that is cancelled is stopped, and a crash costs that call alone. When a worker is lost, so are the calls that it had begun,
    which are not made again; what waited there goes to others. Workers and the scheduler have `molexp-dask` installed, in the
    same version as here.

    The `resources` of calls are those that workers declare: ``gpus`` needs workers that were started with
    ``--resources "gpus=2"``, and likewise ``memory``, ``cores`` above one, and the names in ``extra``. A walltime, nodes and tasks are refused,
    because Dask knows of none.

    Args:
        workers: the number of calls at a time; `None` sends all to the cluster.
        address: the scheduler's address, such as ``tcp://head:8786``.
        scheduler_file: the file into which ``dask scheduler --scheduler-file`` writes its address.
        cluster: a class that starts a cluster, such as ``distributed.LocalCluster`` or ``dask_jobqueue.SLURMCluster``.
        options: the arguments of that class.

    Example:
        >>> from molexp_dask import DaskExecutor
        >>> DaskExecutor(workers=2, cluster="distributed.LocalCluster", options={"n_workers": 2}).workers
        2
    """

    name: ClassVar[str] = "dask"
    queues: ClassVar[bool] = True

    def __init__(
        self,
        *,
        workers: int | None = None,
        address: str = "",
        scheduler_file: str | os.PathLike[str] = "",
        cluster: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(workers=workers)
        self._place = Place.of(address, os.fspath(scheduler_file), cluster, options, workers)
        self._guard = threading.Lock()
        self._session: Session | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None

    async def check(self, resources: Resources) -> None:
        """Raise unless there is a cluster, and its workers declare these resources; one without workers may get some that do.

        Raises:
            ExecutorError: there is none, or it cannot be used.
            ValueError: no worker has them.
        """
        needs = needs_of(resources)
        await self._current().run(lambda session: session.check(needs))

    async def submit(self, call: Call) -> Outcome:
        """Run `call` and return how it ended; see `molexp.contracts.Executor`."""
        try:
            needs = needs_of(call.resources)
            session = self._current()
        except Exception as error:  # noqa: BLE001 - what makes no sense is an outcome
            return Outcome(error=error)
        return await session.call(call, needs)

    def _current(self) -> Session:
        with self._guard:
            if self._session is None or self._session.pid != os.getpid():  # after a fork, the thread is the parent's
                self._place.load()
                self._session = Session(self._place, self.workers)
                self._finalizer = weakref.finalize(self, self._session.close)
            return self._session

    async def close(self) -> None:
        """Stop calls, and let go of the cluster; end it, if it was started here."""
        with self._guard:
            session, self._session = self._session, None
            if self._finalizer is not None:
                self._finalizer.detach()
        if session is not None and session.pid == os.getpid():
            await asyncio.to_thread(session.close)
