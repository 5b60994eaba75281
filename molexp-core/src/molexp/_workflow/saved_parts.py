"""Objects in the outputs of tasks that JSON does not carry, and that an asset kind saves and restores.

A kind is asked only if it names the very class of an object: what its conformance kit promises holds for that, and not
for a subclass. An object is restored only if the bytes are those that were saved, and what they give is of the same class.
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Mapping
from pathlib import Path
from shlex import join
from typing import IO, TYPE_CHECKING, Any

from msgspec import Struct, field

from molexp._assets.accessors import save_in
from molexp._assets.assets import UnknownAsset
from molexp._assets.choosing import kinds_naming
from molexp._assets.registry import KeySource
from molexp._assets.verification import complain, is_folder
from molexp._storage.hashing import hash_of, tree_of
from molexp._values.loaded import type_name
from molexp._workflow.outputs import NotRestorableError
from molexp.errors import AssetError, MolexpError, PluginError, PluginMissingError

if TYPE_CHECKING:
    from molexp._assets.naming import AttemptAssets
    from molexp._assets.registry import Library
    from molexp.contracts import AssetKind

MOST = 64  # objects of one output that are saved: each is a file
MOST_BYTES = 256 << 20  # of the objects of one output: nobody asked for them to be kept

_OF_STORAGE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ESTALE),
    *(errno.ENOMEM, errno.EMFILE, errno.ENFILE),
)
"""Errors of the system that end the workflow: the record of the task could not be written, either."""


class Part(Struct):
    """One object of an output.

    Attributes:
        obj: the object.
        kind: the kind that saves it.
        said: the entry that stands for it in the record.
    """

    obj: Any
    kind: AssetKind[Any, Any]
    said: dict[str, Any]


class Parts(Struct):
    """The objects of one output that kinds save, each once; found first, and saved when all of the output can be stored."""

    library: Library
    found: dict[int, Part] = field(default_factory=dict)
    written: int = 0

    def take(self, obj: Any, where: str) -> dict[str, Any] | None:
        """Return what stands for an object in the record; None if no kind names its class.

        Raises:
            NotRestorableError: several kinds do, the kind does not give this one back, or the output has too many of them.
        """
        if (known := self.found.get(id(obj))) is not None:
            return known.said
        cls = type(obj)
        try:
            kinds = kinds_naming(self.library, cls, obj)
            kind: Any = self.library.kind(kinds[0]) if kinds else None
        except PluginError as error:
            raise NotRestorableError(f"{where} is of type {type_name(obj)}: {error}") from error
        if kind is None:
            return None
        if not self._restores(kind, obj):
            raise NotRestorableError(
                f"{where} is of type {type_name(obj)}, and the kind {kind.name!r} does not give this one back as it was"
            )
        if len(kinds) > 1:
            raise NotRestorableError(
                f"{where} is of type {type_name(obj)}, which several kinds save: {', '.join(kinds)}"
            )
        if len(self.found) == MOST:
            raise NotRestorableError(
                f"it has more than {MOST} objects that are saved as files; save them as one asset, and return that"
            )
        said = {"kind": kind.name, "type": type_name(obj)}
        self.found[id(obj)] = Part(obj, kind, said)
        return said

    def _restores(self, kind: Any, obj: Any) -> bool:
        """Tell whether a kind says that it gives an object back as it is."""
        if not hasattr(kind, "restores"):
            return True
        try:
            return bool(kind.restores(obj))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a stranger's code, and the task has ended well
            self.library.tell(kind.name, "restores", error)
            return False

    def save(self, assets: AttemptAssets, label: str, *, alone: bool) -> None:
        """Save the objects, and complete what stands for them.

        Raises:
            NotRestorableError: a kind cannot save an object, or they are too large.
            RunError: the attempt ended meanwhile.
            StoreError: the store cannot take it.
            OSError: the disk is full or broken; what else a kind raises of the system is about the object.
        """
        _refuse_large(sum(_bytes_in_memory(part.obj) for part in self.found.values()))
        for number, part in enumerate(self.found.values(), 1):
            slot = assets.reserve_output(part.kind, label if alone else f"{label}:{number}", label)
            try:
                asset = save_in(assets, slot, part.obj, (), {}, self._admit)
            except (AssetError, ValueError, TypeError, LookupError, ArithmeticError) as error:
                raise _unsavable(part, error) from error
            except (MolexpError, NotRestorableError):
                raise
            except (Exception, SystemExit) as error:
                if isinstance(error, OSError) and error.errno in _OF_STORAGE:
                    raise
                raise _unsavable(part, error) from error
            part.said |= {"asset": asset.id, "hash": asset.content_hash}

    def _admit(self, size: int) -> None:
        self.written += size
        _refuse_large(self.written)


class Restorer(Struct):
    """Restore the objects of outputs from what stands for them in the records of a run.

    Attributes:
        library: the kinds.
        records: the records of the run's assets, by their ids without its path.
    """

    library: Library
    records: Mapping[str, Mapping[str, Any]]
    _told: set[str] = field(default_factory=set)

    def restore(self, label: str, known: dict[str, Any], said: Mapping[str, Any]) -> Any:
        """Return the object of one output; `known` has those that were restored already.

        Raises:
            NotRestorableError: it is not there any more as it was, or its kind cannot read it.
        """
        asset_id = str(said["asset"]).partition("#")[2]
        if asset_id not in known:
            known[asset_id] = self._restored(label, said, self.records.get(asset_id))
        return known[asset_id]

    def _restored(self, label: str, said: Mapping[str, Any], record: Mapping[str, Any] | None) -> Any:
        if record is None or record.get("content_hash") != said["hash"]:
            raise NotRestorableError(f"{said['asset']} is gone")
        asset = self.library.asset(record)
        if isinstance(asset, UnknownAsset):
            self._tell(label, asset)
            raise NotRestorableError(asset.problem)
        source = _VerifiedSource(asset, self.library)
        try:
            source.path()
            found = self.library.kind(asset.kind).load(source)
        except MolexpError as error:
            raise NotRestorableError(f"{said['asset']}: {error}") from error
        except (Exception, SystemExit) as error:
            raise NotRestorableError(
                f"the kind {asset.kind!r} cannot load {said['asset']}: {type(error).__name__}: {error}"
            ) from error
        if type_name(found) != said["type"]:
            raise NotRestorableError(f"the kind {asset.kind!r} gives back {type_name(found)}, not {said['type']}")
        return found

    def _tell(self, label: str, asset: UnknownAsset) -> None:
        """Warn, once for each kind, that tasks are executed again because a kind is not as it was."""
        if asset.kind in self._told:
            return
        self._told.add(asset.kind)
        from molexp.plugins import PluginWarning, install_command

        remedy = ""
        try:
            self.library.plugins.asset_kind(asset.kind)
        except PluginMissingError:
            if who := asset.distribution.partition(" ")[0]:
                remedy = f" Install it: {join(install_command(who))}"
        except MolexpError:
            pass
        text = f"The output of the task {label!r}, and of others like it, cannot be restored: {asset.problem}.{remedy}"
        warnings.warn(PluginWarning(f"{text} Until then such tasks are executed again."), stacklevel=2)


class _VerifiedSource(KeySource[Any], frozen=True):
    """A payload whose bytes are all compared with the record before a kind sees them, and again only after they were written.

    Attributes:
        compared: the state of its files when they were compared last, alone in a list.
    """

    compared: list[Any] = field(default_factory=list)

    def open(self) -> IO[bytes]:
        return self.path().open("rb")

    def path(self) -> Path:
        asset, store = self.asset, self.library.store
        found = self.library.local(asset)
        if "local_path" not in store.capabilities:
            return found  # it is a copy, which was compared
        if self.compared != (state := [_state_of(found)]):
            if is_folder(asset):
                now = tree_of(store, asset.key, [one.key for one in store.list(asset.key)])
            else:
                now = hash_of(store, asset.key)
            if now != asset.content_hash:
                complain(asset, store, now)
            self.compared[:] = state
        return found


def _state_of(path: Path) -> list[tuple[str, int, int, int, int]]:
    """Return what changes if somebody writes to a file, or to any file of a folder."""
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    states = [(str(one), one.stat()) for one in files]
    return [(name, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for name, one in states]


def _bytes_in_memory(obj: Any) -> int:
    """Return how many bytes an object says that it has; 0 if it does not say."""
    try:
        found = getattr(obj, "nbytes", 0)
    except (Exception, SystemExit):  # noqa: BLE001 - it is a stranger's code; what is written counts, too
        return 0
    return found if isinstance(found, int) else 0


def _refuse_large(size: int) -> None:
    if size > MOST_BYTES:
        raise NotRestorableError(
            f"its objects have more than {MOST_BYTES / (1 << 20):g} MiB; save them with ctx.save(...), and return the assets"
        )


def _unsavable(part: Part, error: BaseException) -> NotRestorableError:
    what = f"the kind {part.kind.name!r} cannot save what it has of type {part.said['type']}"
    return NotRestorableError(f"{what}: {type(error).__name__}: {' '.join(str(error).split())}")
