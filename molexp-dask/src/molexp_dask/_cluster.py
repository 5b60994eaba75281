"""The place of the cluster: its address, the file that has it, or the class that starts it."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from molexp.errors import ExecutorError

LOCAL = "distributed.LocalCluster"
_CONNECT = "distributed.comm.timeouts.connect"


class Place(Struct, frozen=True):
    """The place of a cluster.

    Attributes:
        address: the scheduler's address; "" if it is elsewhere, or nobody says.
        file: the file that has the address.
        cluster: the class that starts one.
        options: its arguments.
        workers: the number of calls at a time.
    """

    address: str = ""
    file: str = ""
    cluster: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    workers: int | None = None

    @classmethod
    def of(cls, address: str, file: str, cluster: str, options: Mapping[str, Any] | None, workers: int | None) -> Place:
        """Return the place that the options of an executor name.

        Raises:
            TypeError: an option is of the wrong type.
            ValueError: they name several, or none to which the others belong.
        """
        named = {"address": address, "scheduler_file": file, "cluster": cluster}
        for name, value in named.items():
            if not isinstance(value, str):
                raise TypeError(f"{name} is {value!r}; it must be a text")
        if len(several := [name for name, value in named.items() if value]) > 1:
            raise ValueError(f"{' and '.join(several)} are given; the cluster has one place, so give one of them")
        if options is not None and not isinstance(options, Mapping):
            raise TypeError(f"options is {options!r}; it must be a mapping of arguments of the cluster's class")
        if options and not cluster:
            raise ValueError("options are arguments of the class that starts a cluster; name that as cluster, too")
        return cls(address, file, cluster, dict(options or {}), workers)

    @property
    def path(self) -> Path:
        """The path of the file, from the current folder."""
        return Path(self.file).absolute()

    def load(self) -> Any:
        """Return the class that starts a cluster; None if none is to be started by a class of somebody else.

        Call it in the main thread: to import dask_jobqueue sets a handler of signals, which we undo.

        Raises:
            ExecutorError: it cannot be imported.
        """
        if not self.cluster:
            return None
        name = self.cluster if "." in self.cluster else f"distributed.{self.cluster}"
        module, _, cls = name.rpartition(".")
        may_handle = threading.current_thread() is threading.main_thread()
        before = signal.getsignal(signal.SIGINT)
        try:
            return getattr(import_module(module), cls)
        except Exception as error:
            is_missing = may_handle or isinstance(error, ImportError | AttributeError)
            todo = "Install the package that has it." if is_missing else f"Import {module} in the main thread before."
            raise ExecutorError(
                f"The class {name}, which is to start a Dask cluster, cannot be imported: {error}. {todo}", call=""
            ) from error
        finally:
            if may_handle and signal.getsignal(signal.SIGINT) is not before:
                signal.signal(signal.SIGINT, before)

    def __str__(self) -> str:
        return self.address or (f"the scheduler of {self.file}" if self.file else self.cluster or "Dask's own settings")


async def connect(place: Place) -> tuple[Any, Any]:
    """Return a client on the running event loop, and the cluster if it was started here, else None.

    Raises:
        ExecutorError: that is not possible, with the reason.
    """
    import dask
    from distributed import Client

    settings: dict[str, Any] = {"asynchronous": True, "set_as_default": False, "name": "molexp"}
    address = place.address or ("" if place.file or place.cluster else dask.config.get("scheduler-address", None) or "")
    cluster, patience = None, _patience()
    try:
        if place.file:
            await _wait_for(place.path, patience)
            settings["scheduler_file"] = place.file
        elif address:
            settings["address"] = address
        else:
            cluster = settings["address"] = await _start(place)
        return await Client(**settings), cluster  # type: ignore[no-untyped-call] # it says nothing of its arguments
    except ExecutorError:
        raise
    except Exception as error:
        if cluster is not None:
            await cluster.close()
        where = f"at {address}" if address else f"of {place}"
        reason = f"{type(error).__name__}: {error}".rstrip(".")
        raise ExecutorError(
            f"The Dask cluster {where} cannot be used: {reason}. Is its scheduler running, and can this machine reach it?",
            call="",
        ) from error


def _patience() -> float:
    """Return the seconds that a scheduler may take, by Dask's own setting.

    Raises:
        ExecutorError: that is no time; Dask would wait for ever, or fail with an error of arithmetic.
    """
    import dask

    given = dask.config.get(_CONNECT)
    try:
        if (seconds := dask.utils.parse_timedelta(given)) is not None and seconds > 0:
            return float(seconds)
    except (KeyError, TypeError, ValueError):
        pass
    variable = f"DASK_{_CONNECT.upper().replace('.', '__')}"
    raise ExecutorError(
        f"Dask's setting {_CONNECT} is {given!r}, which is no time that a scheduler may take. Give it one in Dask's "
        f"configuration, or by {variable}=30s.",
        call="",
    )


async def _wait_for(file: Path, patience: float) -> None:
    """Wait for a file that a scheduler which has just been started may be about to write; Dask waits for ever.

    Raises:
        ExecutorError: it does not come.
    """
    try:
        async with asyncio.timeout(patience):
            while not _is_whole(file):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise _missing(file, patience) from None


def _missing(file: Path, patience: float) -> ExecutorError:
    what = "has not come whole" if file.exists() else "has not come"
    return ExecutorError(
        f"The scheduler's file {file} {what} in {patience:.4g} s. Name the one that "
        "`dask scheduler --scheduler-file` writes, on a file system that this machine sees.",
        call="",
    )


def _is_whole(file: Path) -> bool:
    """Tell whether a scheduler's file is there and names an address: it may be half written, or another file."""
    try:
        return bool(json.loads(file.read_bytes())["address"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


async def _start(place: Place) -> Any:
    """Start a cluster; it has as many workers as calls may run at once, unless its arguments say otherwise."""
    from distributed import LocalCluster

    kind = place.load() or LocalCluster
    options: dict[str, Any] = {"asynchronous": True, **place.options}
    local = kind is LocalCluster
    if local:
        defaults = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
        options = {**defaults, **options}
    if place.workers is not None and local:
        options.setdefault("n_workers", place.workers)
    try:
        cluster = await kind(**options)
    except Exception as error:
        raise ExecutorError(
            f"{place.cluster or LOCAL} could not start a Dask cluster: {type(error).__name__}: {error}", call=""
        ) from error
    if not local and "n_workers" not in options and hasattr(cluster, "adapt"):
        cluster.adapt(minimum=0, maximum=place.workers or 1)
    return cluster
