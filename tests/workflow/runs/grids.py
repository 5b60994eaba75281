"""Objects that JSON does not carry, kinds that save them, and a workflow that returns them."""

from __future__ import annotations

import errno

from molexp import PluginManager
from molexp.contracts import AssetKind, NoFields
from molexp.hookspecs import hookimpl
from molexp.workflow import WorkflowBuilder


class Grid:
    """Numbers on a grid, to which JSON has no way."""

    def __init__(self, data: bytes, **more: int) -> None:
        self.data = data
        vars(self).update(more)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(self.data)


class Finer(Grid):
    """A grid of a class that no kind names."""


class GridKind(AssetKind[Grid, NoFields]):
    name, suffix, types = "grid", ".grid", (f"{__name__}.Grid",)

    def save(self, obj, sink):
        if obj.data == b"unsavable":
            raise ValueError("it has no numbers")
        if obj.data == b"no mode":
            raise OSError("cannot write mode F as PNG")
        if obj.data == b"no picture":
            raise FileNotFoundError(errno.ENOENT, "no such font")
        if obj.data == b"full":
            raise OSError(errno.ENOSPC, "no space left on device")
        with sink.open() as stream:
            for begin in range(0, len(obj.data), 1 << 20):
                stream.write(obj.data[begin : begin + (1 << 20)])
        return NoFields()

    def load(self, source):
        with source.open() as stream:
            data = stream.read()
        return Finer(b"") if data == b"other" else Grid(data)


class Folder(Grid):
    """A grid in several files."""


class FolderKind(AssetKind[Folder, NoFields]):
    name, payload, types = "grids", "folder", (f"{__name__}.Folder",)

    def save(self, obj, sink):
        with sink.folder() as folder:
            (folder / "all").write_bytes(obj.data)
        return NoFields()

    def load(self, source):
        return Folder((source.path() / "all").read_bytes())


class Drawn(Grid):
    """A grid of which a kind makes a drawing."""


class DrawingKind(GridKind):
    name, types = "drawing", (f"{__name__}.Drawn",)

    def restores(self, obj):
        if obj.data == b"raise":
            raise RuntimeError("no answer")
        return False


class Lazy:
    """Numbers that are read when somebody asks for them."""

    def __init__(self, source):
        self.source = source

    def data(self):
        with self.source.open() as stream:
            return stream.read()


class LazyKind(AssetKind[Lazy, NoFields]):
    name, types = "lazy", (f"{__name__}.Lazy",)

    def save(self, obj, sink):
        sink.write(obj.source)
        return NoFields()

    def load(self, source):
        return Lazy(source)


class LazyFolderKind(LazyKind):
    """Folders whose files are read when somebody asks for them."""

    name, payload, types = "lazy_folder", "folder", (f"{__name__}.LazyFolder",)

    def save(self, obj, sink):
        with sink.folder() as folder:
            (folder / "all").write_bytes(obj.source)
        return NoFields()

    def load(self, source):
        return LazyFolder(source)


class LazyFolder(Lazy):
    """The same in a folder."""

    def data(self):
        return (self.source.path() / "all").read_bytes()


class Plugin:
    @hookimpl
    def molexp_register_asset_kinds(self):
        return [GridKind, FolderKind, DrawingKind, LazyKind, LazyFolderKind]


class Work:
    """Two tasks, of which the second takes what the first returns; nobody can see in their code what that is."""

    def __init__(self, place, plugins=None):
        self.ran: list[str] = []
        self.value = None
        self.read = None
        self.plugins = PluginManager(extra=[Plugin()] if plugins is None else plugins)
        self.run = place.workspace(plugins=self.plugins).Project("metals").Experiment("cu").Run(id="one")

    def execute(self, value=None, tasks=None, **options):
        """Execute, and return the result; `ran` has the tasks that were executed."""
        CURRENT[:] = [self]
        self.ran, self.value = [], value
        return (tasks or workflow)().execute_sync(run=self.run, check=True, **options)


CURRENT: list[Work] = []


def workflow():
    wf = WorkflowBuilder("grids")

    @wf.task
    def only(ctx):
        return _ran("only", ctx)

    @wf.task(depends_on=[only])
    def after(ctx):
        return _ran("after", ctx)

    return wf.build()


def mapped():
    wf = WorkflowBuilder("mapped")

    @wf.task
    def numbers(ctx):
        return [1, 2, 3]

    @wf.task(map_over=numbers)
    def each(ctx):
        return _ran("each", ctx)

    return wf.build()


def _ran(name, ctx):
    work = CURRENT[0]
    work.ran.append(name)
    if name != "after":
        return work.value(ctx) if callable(work.value) else work.value
    return None
