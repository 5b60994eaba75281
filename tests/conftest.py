"""Set up every test: temporary folders in memory where there is a tmpfs, and nothing of the user's own setup."""

from __future__ import annotations

import contextlib
import copyreg
import fcntl
import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import hypothesis
import pytest

TMPFS = Path("/dev/shm")

# What a user, a scheduler or a launcher set for other programs, and would change what MolExp does here.
FOREIGN = ("MOLEXP_", "OMPI_", "PBS_", "PMIX_", "PMI_", "SLURM_", "TORCHELASTIC_")
RANKS = ("LOCAL_RANK", "RANK", "WORLD_SIZE")

hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")

_session_folder = pytest.StashKey[Path]()
_session_process = pytest.StashKey[int]()
_environment = pytest.StashKey[dict[str, str]]()


@pytest.hookimpl(tryfirst=True)  # before pytest's own hook decides where `tmp_path` lies
def pytest_configure(config: pytest.Config) -> None:
    folder = _new_session_folder()
    config.stash[_session_folder] = folder
    config.stash[_session_process] = os.getpid()
    config.stash[_environment] = dict(os.environ)
    if config.option.basetemp is None:
        config.option.basetemp = folder / "t"
    for name in [name for name in os.environ if name.startswith(FOREIGN) or name in RANKS]:
        del os.environ[name]
    os.environ["MOLEXP_CACHE_DIR"] = str(folder / "cache")
    os.environ["MOLEXP_SPOOL_DIR"] = str(folder / "spool")
    os.environ["MOLEXP_CONFIG_DIR"] = str(folder / "config")  # there is none
    (folder / "tmp").mkdir()
    os.environ["TMPDIR"] = str(folder / "tmp")
    tempfile.tempdir = None  # look at TMPDIR again
    # A shell makes what it runs in the background deaf to Ctrl-C, nohup to a hangup, and children are so, too.
    if threading.current_thread() is threading.main_thread():
        for name, handler in ("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL):
            if signal.getsignal(number := getattr(signal, name, signal.SIGINT)) is signal.SIG_IGN:
                signal.signal(number, handler)
    # Processes that tests start would compile all they import, again and again, where this is set.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_unconfigure(config: pytest.Config) -> None:
    if config.stash.get(_session_process, None) != os.getpid():
        return  # a forked child that came to its end
    if (environment := config.stash.get(_environment, None)) is not None:
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None
    if (folder := config.stash.get(_session_folder, None)) is not None:
        # At the end of the process, and after multiprocessing has removed its own folder in there, which has the priority -100.
        Finalize(None, shutil.rmtree, [folder], {"ignore_errors": True}, exitpriority=-200)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``-m soak``, leave out modules that never say so: collecting them takes each worker five seconds of computing."""
    if config.option.markexpr != "soak" or not collection_path.name.startswith("test_"):
        return None
    return None if "soak" in collection_path.read_text(encoding="utf-8") else True


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Let nobody look for garbage among the tests and what they import: all of it stays, and there is much of it."""
    gc.disable()
    try:
        _rewrite_a_share(session.config)
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _rewrite_a_share(config: pytest.Config) -> None:
    """Let each worker rewrite the asserts of some modules, which all of them would rewrite at the same time otherwise."""
    number, workers = os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:], os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    places = [Path(one.partition("::")[0]) for one in config.args]
    modules = sorted({one for place in places for one in ([place] if place.is_file() else place.rglob("test_*.py"))})
    known = f"{sys.implementation.cache_tag}-pytest-{pytest.__version__}.pyc"
    for path in modules[int(number) :: int(workers)] if workers != "1" else ():
        if not (path.parent / "__pycache__" / f"{path.stem}.{known}").exists():
            hook: Any = config.pluginmanager.rewrite_hook
            spec = spec_from_file_location(path.stem, path, loader=hook)
            assert spec is not None
            module = module_from_spec(spec)
            vars(module)["__builtins__"] = {}  # so that it ends with its first import, when its code is in the cache
            with contextlib.suppress(ImportError):
                hook.exec_module(module)


ON_SERVERS = {
    "browser": ("tests/cli/test_report_in_a_browser.py", "tests/web/"),
    "s3": (
        "tests/record/",
        "tests/s3/",
        "tests/science/test_trajectories.py",
        "tests/servers/",
        "tests/stores/test_s3.py",
        "tests/web/test_on_s3.py",
        "tests/workflow/runs/",
    ),
    "slurm": ("tests/slurm/",),
}
"""The places of tests with these marks: the gate's workers need not collect the others."""


LONGEST = (
    "tests/packaging/test_distributions.py",
    "tests/fuzz/test_fuzz.py",
    "tests/dask/test_conformance.py",
    "tests/docs/test_pages.py",
)
"""Modules that take one worker longest. They begin first, so that none of them is played when the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    for mark, places in ON_SERVERS.items():
        lost = [item.nodeid for item in items if item.get_closest_marker(mark) and not item.nodeid.startswith(places)]
        if lost:
            raise pytest.UsageError(f"the gate looks for tests on {mark} in {', '.join(places)}: move {lost[0]}")


def pytest_report_header(config: pytest.Config) -> str:
    return f"temporary folders: {config.option.basetemp}"


@pytest.fixture(autouse=True, scope="module")
def _pickling() -> Iterator[None]:
    """Take back how distributed pickles exceptions once it is imported: with their tracebacks, for the whole process."""
    before = dict(copyreg.dispatch_table)
    yield
    for one in [one for one in copyreg.dispatch_table if one not in before]:
        del copyreg.dispatch_table[one]


@pytest.fixture(autouse=True)
def _same_folder_and_environment() -> Iterator[None]:
    """A test that changes either takes the next one down with it; say so where it happens."""
    folder, environment = Path.cwd(), dict(os.environ)
    yield
    left = {name for name in environment.keys() | os.environ.keys() if environment.get(name) != os.environ.get(name)}
    left -= {"PYTEST_CURRENT_TEST", "_RJEM_MALLOC_CONF"}  # polars sets the second when it is imported
    assert not left, f"the test left environment variables changed: {sorted(left)}"
    assert folder == Path.cwd(), "the test left another current folder"


def _new_session_folder() -> Path:
    """A folder for this session; those of sessions that were killed are removed, because they take up memory."""
    parent = _tmpfs() or Path(tempfile.gettempdir())
    for owner in parent.glob("molexp-tests-*/owner"):
        with contextlib.suppress(OSError), owner.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its session lives
            shutil.rmtree(owner.parent, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="molexp-tests-", dir=parent))
    descriptor = os.open(folder / "owner.new", os.O_CREAT | os.O_RDWR)  # stays open as long as this process
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return (folder / "owner.new").rename(folder / "owner").parent


def _tmpfs() -> Path | None:
    return TMPFS if os.path.ismount(TMPFS) and os.access(TMPFS, os.W_OK) else None
