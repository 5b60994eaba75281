"""The commit on record is that of the code which started the run, however the process came to be."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

import molexp as me
from tests.record.test_git import git, pytestmark, repository

__all__ = ["pytestmark"]

TRACK = """
import os
import molexp as me
def track(id="one"):
    with me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id=id).start():
        return id
"""


@pytest.fixture
def code(tmp_path):
    """A repository with a module that starts a run."""
    return repository(tmp_path / "code", **{"mine.py": TRACK, "main.py": "import mine; mine.track()\n"})


@pytest.fixture
def commit(tmp_path):
    """Starts a process, and returns the commit on record of the run that it made; None if there is none."""

    def commit(*command: str | Path, cwd: Path = tmp_path, run: str = "one", **environ: str) -> str | None:
        lab = tmp_path / "lab"
        subprocess.run(command, cwd=cwd, check=True, timeout=300, env={**os.environ, "LAB": str(lab), **environ})
        found = me.Workspace(str(lab)).run(f"p/e/{run}").provenance
        assert found is not None
        known: str | None = found["git"] and found["git"]["commit"]
        return known

    return commit


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD").strip()


JOBLIB = "import joblib, mine; joblib.Parallel(n_jobs=2)(joblib.delayed(mine.track)(str(n)) for n in range(2))"
POOL = """
import concurrent.futures, multiprocessing, mine
if __name__ == "__main__":
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("METHOD")) as pool:
        pool.submit(mine.track).result()
"""


@pytest.mark.skipif(find_spec("joblib") is None, reason="THERE IS NO JOBLIB")
def test_of_a_worker_of_joblib_it_is_that_of_the_function(code, commit):
    assert commit(sys.executable, "-c", JOBLIB, run="1", PYTHONPATH=str(code)) == head(code)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_of_a_worker_of_a_pool_it_is_that_of_the_function(code, commit, tmp_path, method):
    script = tmp_path / "outside.py"
    script.write_text(POOL.replace("METHOD", method))
    assert commit(sys.executable, script, PYTHONPATH=str(code)) == head(code)


@pytest.mark.skipif(find_spec("cloudpickle") is None, reason="THERE IS NO CLOUDPICKLE")
def test_of_a_launcher_it_is_that_of_the_function_which_it_unpickled(code, commit, tmp_path):
    launcher = tmp_path / "site-packages/launcher.py"
    launcher.parent.mkdir()
    launcher.write_text("import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))()\n")
    dump = "import cloudpickle, mine; cloudpickle.register_pickle_by_value(mine); cloudpickle.dump(mine.track, open('job', 'wb'))"
    subprocess.run([sys.executable, "-c", dump], cwd=tmp_path, check=True, env={**os.environ, "PYTHONPATH": str(code)})
    assert commit(sys.executable, "-m", "launcher", "job", PYTHONPATH=str(launcher.parent)) == head(code)


@pytest.mark.parametrize("cwd", ["elsewhere", "other"])
def test_of_a_program_it_is_that_of_its_editable_package(code, commit, tmp_path, cwd):
    environment = tmp_path / "venv"
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "here.pth").write_text(
        "".join(f"import site; site.addsitedir({at!r})\n" for at in site.getsitepackages())
    )
    (packages / "editable.pth").write_text(f"{code}\n")
    program = environment / "bin/track"
    program.write_text(f"#!{environment}/bin/python\nfrom mine import track; track()\n")
    program.chmod(0o755)
    (tmp_path / "elsewhere").mkdir()
    repository(tmp_path / "other")
    assert commit(program, cwd=tmp_path / cwd) == head(code)


def test_of_an_installed_package_it_is_that_of_the_current_folder(commit, tmp_path):
    packages = tmp_path / "venv/lib/site-packages"
    packages.mkdir(parents=True)
    (packages / "mine.py").write_text(f"{TRACK}\nif __name__ == '__main__': track()\n")
    work = repository(tmp_path / "work")
    assert commit(sys.executable, "-m", "mine", cwd=work, PYTHONPATH=str(packages)) == head(work)


@pytest.mark.parametrize(
    "words",
    [
        ("main.py",),
        ("-m", "main"),
        ("-c", "import main"),
        ("-m", "cProfile", "-o", os.devnull, "main.py"),
        ("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_it_is_that_of_the_code_in_the_current_folder(code, commit, words):
    (code / "test_it.py").write_text("def test_it():\n    import mine\n    mine.track()\n")
    assert commit(sys.executable, *words, cwd=code) == head(code)


def test_of_a_script_it_is_its_own_although_a_module_of_another_repository_starts_the_run(code, commit, tmp_path):
    other = repository(tmp_path / "other", **{"script.py": "import mine; mine.track()\n", "b.txt": "b"})
    assert commit(sys.executable, other / "script.py", PYTHONPATH=str(code)) == head(other)


def test_of_a_script_in_no_repository_it_is_that_of_the_module_which_starts_the_run(code, commit, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import mine; mine.track()\n")
    other = repository(tmp_path / "other", **{"b.txt": "b"})
    assert commit(sys.executable, script, cwd=other, PYTHONPATH=str(code)) == head(code)


def test_of_code_in_no_repository_there_is_none(commit, tmp_path):
    (tmp_path / "mine.py").write_text(TRACK + "track()\n")
    other = repository(tmp_path / "other", **{"b.txt": "b"})
    assert commit(sys.executable, tmp_path / "mine.py", cwd=other) is None


def test_of_what_is_typed_it_is_that_of_the_current_folder(code, commit):
    assert commit(sys.executable, "-c", TRACK + "track()", cwd=code) == head(code)
