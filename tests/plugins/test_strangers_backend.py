"""A storage backend from a distribution that MolExp has never heard of carries a workspace, end to end."""

from __future__ import annotations

BACKEND = '''
import io
import itertools
from molexp.contracts import Listing, Stat, Store, check_key
from molexp.errors import KeyExistsError, KeyNotFoundError
from molexp.hookspecs import hookimpl

DATA = {}  # URL to key to (bytes, version)
VERSIONS = itertools.count()


class StrangeStore(Store):
    """Keys in a dictionary, and nothing but the basic operations."""

    schemes = ("strange",)

    def __init__(self, url):
        self.url = url
        self.data = DATA.setdefault(url, {})

    def __reduce__(self):
        return StrangeStore, (self.url,)

    @classmethod
    def open(cls, url, options):
        if options:
            raise TypeError(f"no options are known: {sorted(options)}")
        if not url.startswith("strange://"):
            raise ValueError(f"{url!r} is not strange")
        return cls(url)

    def _get(self, key):
        try:
            return self.data[check_key(key)]
        except KeyError:
            raise KeyNotFoundError(key, url=self.url) from None

    def read(self, key, start=0, length=None):
        return self._get(key)[0][start : None if length is None else start + length]

    def write(self, key, data):
        self.data[check_key(key)] = (bytes(data), next(VERSIONS))

    def create(self, key, data):
        mine = (bytes(data), next(VERSIONS))
        if self.data.setdefault(check_key(key), mine) is not mine:
            raise KeyExistsError(key, url=self.url)

    def stat(self, key):
        data, version = self._get(key)
        return Stat(key, len(data), str(version))

    def delete(self, key):
        self.data.pop(check_key(key), None)

    def list(self, prefix=""):
        start = check_key(prefix) + "/" if prefix else ""
        found = [(key, *item) for key, item in self.data.copy().items() if key.startswith(start)]
        return iter([Stat(key, len(data), str(version)) for key, data, version in sorted(found, key=lambda row: row[0])])

    def children(self, prefix=""):
        skip = len(prefix) + 1 if prefix else 0
        below = list(self.list(prefix))
        entries = tuple(stat for stat in below if "/" not in stat.key[skip:])
        folders = {stat.key[skip:].partition("/")[0] for stat in below if "/" in stat.key[skip:]}
        return Listing(entries, tuple(sorted(folders)))

    def open_read(self, key):
        return io.BytesIO(self.read(key))

    def open_write(self, key, *, exclusive=False):
        return Writer(self.create if exclusive else self.write, check_key(key))

    def locate(self, key):
        return f"{self.url}/{check_key(key)}"


class Writer(io.BytesIO):
    def __init__(self, publish, key):
        super().__init__()
        self.publish, self.key = publish, key

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.publish(self.key, self.getvalue())


@hookimpl
def molexp_register_storage_backends():
    return [StrangeStore]
'''

TRACK_A_RUN = """
    import molexp as me
    import stranger

    ws = me.Workspace("strange://x")
    run = ws.Project("metals").Experiment("cu").Run({"a": 3.6}, id="one")
    with run.start() as ctx:
        ctx.set_result("energy", -1.5)
        ctx.artifact.save("cell.json", {"a": 3.6})
        ctx.log("relax").append("done")

    (data,) = stranger.DATA.values()
    assert any(key.endswith("runs/one/run.json") for key in data), sorted(data)
    again = me.Workspace.load("strange://x").project("metals").experiment("cu").run("one")
    print(again.status, again.results["energy"])
    print(*[(row.id, row.status) for row in me.Workspace.load("strange://x").catalog.runs()])
"""

ASK_FOR_IT = """
    import molexp as me
    from molexp.errors import PluginError
    try:
        me.Workspace("strange://x").materialize()
    except PluginError as error:
        print(type(error).__name__, error)
"""


def test_a_run_is_tracked_on_it(site):
    site.install("stranger", BACKEND)

    status, row = site.python(TRACK_A_RUN).splitlines()

    assert status == "succeeded -1.5"
    assert "one" in row
    assert "succeeded" in row


def test_without_it_the_url_is_refused_by_name(site):
    told = site.python(ASK_FOR_IT)

    assert told.startswith("PluginMissingError No installed plugin provides the storage backend 'strange'")


def test_while_it_is_broken_the_url_is_refused_with_the_cause(site):
    site.install("stranger", "import no_such_library\n" + BACKEND, version="0.7")

    told = site.python(ASK_FOR_IT)

    assert told.startswith("PluginLoadError The storage backend 'strange' is not available")
    assert "stranger (stranger 0.7): importing 'stranger' failed: ModuleNotFoundError" in told
