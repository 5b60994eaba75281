"""The zoo: plugins that are hostile, or merely buggy, each a distribution of a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Literal

import attrs

Effect = Literal["kept out", "told", "without a part", "not imported"]
"""The fate of a plugin.

- ``kept out``: what it does to a process was seen in a process of its own, and it is not imported in any other.
- ``told``: it is used, and what it does is told.
- ``without a part``: what is wrong with it is not used, or nothing of it, because it registers nothing.
- ``not imported``: its metadata alone says that it cannot be used.
"""

KIND = """
from molexp import hookimpl
from molexp.contracts import AssetKind, Declared, Executor, RunIdScheme

class Kind(AssetKind):
    name = NAME
    def save(self, obj, sink): return {}
    def load(self, source): return None

"""
HOOK = "@hookimpl\ndef molexp_register_asset_kinds(): return [Kind]\n"


@attrs.frozen
class Animal:
    """One plugin.

    Attributes:
        does: the lines that its module begins with.
        effect: what becomes of it.
        cause: a pattern of what is told of it.
        hook: the lines that register something.
        entry: the name of its plugin; by default that of the distribution.
        value: what its entry point refers to; by default its module.
        metadata: more lines of its METADATA.
    """

    does: str
    effect: Effect
    cause: str
    hook: str = HOOK
    entry: str = ""
    value: str = ""
    metadata: str = ""


def _kept_out(does: str, cause: str, hook: str = HOOK) -> Animal:
    return Animal(does, "kept out", cause, hook)


def _part(hook: str, cause: str, does: str = "") -> Animal:
    return Animal(does, "without a part", cause, hook)


def _hook(body: str, sort: str = "asset_kinds") -> str:
    return f"@hookimpl\ndef molexp_register_{sort}():\n    {body}\n"


ZOO: Mapping[str, Animal] = {
    # it never comes back
    "spins": _kept_out("while True: pass", "importing .* did not end within 3 s"),
    "sleeps": _kept_out("import time; time.sleep(600)", "importing .* did not end within 3 s"),
    "sleeps-in-its-hook": _kept_out(
        "", "molexp_register_asset_kinds did not end within 3 s", _hook("import time; time.sleep(600)")
    ),
    "makes-a-kind-for-ever": _kept_out(
        "",
        "making its asset kinds did not end",
        "def wait(self):\n    import time; time.sleep(600)\nKind.__init__ = wait\n" + HOOK,
    ),
    "closes-standard-input": _kept_out("import os; os.close(0)", "it changes standard input or output"),
    # it ends the process
    "exits-at-once": _kept_out("import os; os._exit(7)", "importing .* ended the process with exit code 7"),
    "exits-with-success": _kept_out("import os; os._exit(0)", "importing .* ended the process with exit code 0"),
    "exits-in-its-hook": _kept_out(
        "", "asset_kinds ended the process with exit code 3", _hook("import os; os._exit(3)")
    ),
    "aborts": _kept_out("import os; os.abort()", "ended the process by SIGABRT"),
    "segfaults": _kept_out("import ctypes; ctypes.string_at(0)", "ended the process by SIGSEGV"),
    "kills-itself": _kept_out("import os; os.kill(os.getpid(), 9)", "ended the process by SIGKILL"),
    "kills-its-group": _kept_out("import os; os.killpg(0, 15)", "ended the process by SIGTERM"),
    "interrupts": _kept_out("raise KeyboardInterrupt", "it raised KeyboardInterrupt"),
    "exits-at-the-end": _kept_out("import atexit, os; atexit.register(os._exit, 9)", "leaving .* exit code 9"),
    "hangs-at-the-end": _kept_out(
        "import atexit, time; atexit.register(time.sleep, 600)", "leaving .* did not end within"
    ),
    "sets-an-alarm": _kept_out("import signal; signal.alarm(100)", "it changes an alarm"),
    "leaves-a-thread": _kept_out(
        "import threading; threading.Thread(target=threading.Event().wait).start()", "it leaves a thread running"
    ),
    "leaves-a-process": _kept_out(
        "import subprocess; subprocess.Popen(['sleep', '600'])", "it changes child processes"
    ),
    "forks": _kept_out("import os, time; os.fork() or time.sleep(600)", "it changes child processes"),
    # it writes where answers are written
    "prints": Animal("print('hello from the zoo')", "told", "it prints when it is imported: 'hello from the zoo'"),
    "prints-by-its-descriptor": Animal("import os; os.write(1, b'hello\\n')", "told", "it prints .*: 'hello'"),
    "prints-in-its-hook": Animal(
        "", "told", "it prints .*: 'registering'", _hook("print('registering'); return [Kind]")
    ),
    "prints-at-the-end": _kept_out(
        "import atexit; atexit.register(print, 'bye')", "it prints .* when the program ends"
    ),
    "prints-without-end": _kept_out("while True: print('x' * 100000)", "printed more than 16 MiB"),
    "replaces-standard-output": _kept_out(
        "import io, sys; sys.stdout = io.StringIO()", "it changes standard input or out"
    ),
    "closes-standard-output": _kept_out("import os; os.close(1)", "it changes standard input or output"),
    # it changes what everybody depends on
    "takes-memory": _kept_out(
        "x = []\nwhile True: x.append(bytes([1]) * (1 << 20))", "took more than 256 MiB of memory"
    ),
    "ignores-signals": _kept_out("import signal; signal.signal(15, signal.SIG_IGN)", "it changes signal handlers"),
    "blocks-signals": _kept_out(
        "import signal; signal.pthread_sigmask(0, [15])", "it changes the signals that are blocked"
    ),
    "changes-folder": _kept_out("import os; os.chdir('/')", "it changes the current folder"),
    "changes-the-mask": _kept_out("import os; os.umask(0o177)", "it changes the file mode mask"),
    "changes-the-locale": _kept_out(
        "import locale; locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')", "changes the locale"
    ),
    "changes-the-environment": _kept_out(
        "import os; os.environ['MOLEXP_DURABILITY'] = 'never'", "environment variables"
    ),
    "makes-warnings-errors": _kept_out(
        "import warnings; warnings.simplefilter('error')", "a warning filter for everybody"
    ),
    "removes-filters": _kept_out("import warnings; warnings.resetwarnings()", "it removes warning filters"),
    "goes-first": _kept_out("import sys; sys.path.insert(0, '/nowhere')", "puts something before what is in sys.path"),
    "empties-the-path": _kept_out("import sys; sys.path.clear()", "or removes that"),
    "lowers-the-recursion-limit": _kept_out("import sys; sys.setrecursionlimit(120)", "it lowers the recursion limit"),
    "hooks-exceptions": _kept_out("import sys; sys.excepthook = print", "it changes sys.excepthook"),
    "traces": _kept_out("import sys; sys.setprofile(lambda *_: None)", "it changes the trace function"),
    "seeds": _kept_out("import random; random.seed(0)", "it changes the state of random"),
    "stops-collecting": _kept_out("import gc; gc.disable()", "it changes garbage collection"),
    "hurries-sockets": _kept_out("import socket; socket.setdefaulttimeout(0.01)", "it changes the timeout of sockets"),
    "replaces-open": _kept_out("import builtins; builtins.open = None", "it replaces builtins.open"),
    "replaces-fsync": _kept_out("import os; os.fsync = lambda _: None", "it replaces os.fsync"),
    "replaces-a-module": _kept_out("import sys; sys.modules['json'] = sys", "it replaces the module json"),
    "patches-molexp": _kept_out(
        "from molexp.contracts import Store; Store.sync = lambda *_: None",
        r"it replaces molexp\.contracts\._store\.Store\.sync",
    ),
    # it raises
    "raises": _part("", "RuntimeError: no licence", "raise RuntimeError('no licence')"),
    "exits": _part("", "it tried to end the program", "import sys; sys.exit(1)"),
    "panics": _part("", "Panic: in Rust", "class Panic(BaseException): ...\nraise Panic('in Rust')"),
    "needs-what-is-not-there": _part("", "No module named 'no_such_module'", "import no_such_module"),
    "cannot-be-parsed": _part("", "SyntaxError", "x = ("),
    "recurses": _part("", "RecursionError", "def again(): again()\nagain()"),
    "raises-in-its-hook": _part(_hook("1 / 0"), "ZeroDivisionError"),
    "raises-half-way": _part(_hook("yield Kind; 1 / 0"), "ZeroDivisionError"),
    # it registers what is none
    "returns-nothing": _part(_hook("[Kind]"), "returned None"),
    "returns-an-object": _part(_hook("return [Kind()]"), "neither a class nor"),
    "misspells": _part("@hookimpl\ndef molexp_register_asset_kind(): return []\n", "there is no hook"),
    "wants-arguments": _part("@hookimpl\ndef molexp_register_asset_kinds(x): return []\n", "wrong signature"),
    "is-abstract": _part(
        "del Kind.save; Kind.__abstractmethods__ = frozenset({'save'})\n" + HOOK, "lacks abstract methods"
    ),
    "is-called-params": _part("Kind.name = 'params'\n" + HOOK, "which contexts use for something else"),
    "cannot-be-made": _part(
        "def no(self): raise OSError('no licence')\nKind.__init__ = no\n" + HOOK, "OSError: no licence"
    ),
    "exits-when-made": _part(
        "def no(self): raise SystemExit\nKind.__init__ = no\n" + HOOK, "it tried to end the program"
    ),
    "declares-what-is-not-there": _part(_hook("return [Declared('gone', 'no_such_module:Kind')]"), "No module named"),
    "declares-another-name": _part(_hook("return [Declared('other', __name__ + ':Kind')]"), "has another name"),
    "declares-a-number": _part(_hook("return [Declared(7, 'x:y')]"), "each of these must be a text"),
    # it contends for a name
    "takes-artifact": _part("Kind.name = 'artifact'\n" + HOOK, "the asset kind 'artifact' is that of molexp-core"),
    "declares-metrics": _part(_hook("return [Declared('metrics', 'x:y')]"), "'metrics' is that of molexp-core"),
    "takes-inline": _part(
        "class E(Executor):\n    name = 'inline'\n    async def submit(self, call): ...\n"
        + _hook("return [E]", "executors"),
        "the executor 'inline' is that of molexp-core",
    ),
    "takes-molexp-1": _part(
        "class S(RunIdScheme):\n    name = 'molexp-1'\n    def derive(self, identity): return 'same'\n"
        + _hook("return [S]", "run_id_schemes"),
        "the run-id scheme 'molexp-1' is that of molexp-core",
    ),
    "takes-file": _part(
        _hook("return [Declared('file', 'no_such_module:Store')]", "storage_backends"), "'file' is that of molexp-fs"
    ),
    "twin-a": _part("Kind.name = 'twin'\n" + HOOK, "registered by twin-a .* and twin-b .*; neither is used"),
    "twin-b": _part("Kind.name = 'twin'\n" + HOOK, "registered by twin-a .* and twin-b .*; neither is used"),
    "is-called-core": Animal("", "not imported", "the plugin name 'core' is that of molexp-core", entry="core"),
    # its metadata is wrong
    "is-from-the-future": Animal(
        "", "not imported", "it requires molexp-core>=99", metadata="Requires-Dist: molexp-core>=99\n"
    ),
    "leads-nowhere": Animal("", "without a part", "not of the form 'module'", value="not a module"),
    "leads-to-none": Animal("nothing = None", "without a part", "is None, not a plugin", value="leads_to_none:nothing"),
}

SOUND = "sound"
"""The neighbour that nothing must happen to; its kind has this name."""


def build(folder: Path) -> None:
    """Install all of them, and their neighbour, as folders of metadata beside modules, as an installer does."""
    neighbour = Animal("", "told", "")
    for name, animal in {**ZOO, SOUND: neighbour}.items():
        module = name.replace("-", "_")
        kind = KIND.replace("NAME", repr(module))
        text = f"{dedent(animal.does)}\n{kind}{animal.hook}"
        (folder / f"{module}.py").write_text(text, encoding="utf-8")
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{animal.metadata}")
        entry = f"{animal.entry or name} = {animal.value or module}"
        (info / "entry_points.txt").write_text(f"[molexp.plugins]\n{entry}\n")
