"""A full disk, a read-only one, one that belongs to somebody else: a clear error, and what is there stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.repository import is_open_to_others

RUN = "projects/metals/experiments/cu/runs/one"

pytestmark = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux")


def mounted(stage, name: str, *arguments: object, mount: str, **environ: str):
    """An actor in a mount namespace of its own, where something lies on the workspace's folder."""
    script = f'mount --make-rprivate / && {mount} && exec "$@"'
    return stage.start(name, *arguments, prefix=("unshare", "--mount", "sh", "-c", script, "sh"), **environ)


@pytest.fixture(autouse=True)
def _mounting_is_allowed(stage):
    (stage.folder / "trial").mkdir()
    command = f'mount --make-rprivate / && mount -t tmpfs -o size=64k none "{stage.folder}/trial"'
    done = subprocess.run(["unshare", "--mount", "sh", "-c", command], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is refused here: {done.stderr.strip()}")


@pytest.mark.parametrize("last", ["leave", "full", "kill"])
def test_a_full_disk_loses_nothing(stage, last):
    """One process meets the full disk and a second checks, both within one mount: a shell runs them in turn."""
    stage.lab.mkdir()
    told = stage.folder / "told"
    script = (
        f'mount --make-rprivate / && mount -t tmpfs -o size=16m none "{stage.lab}" && '
        f'{{ "$1" "$2" on_full_disk "{stage.lab}" {last} > "{told}"; echo "$?" > "{told}.exit"; '
        f'"$1" -c "import json, sys; print(json.dumps([json.loads(line) for line in open(sys.argv[1])]))" "{told}" '
        f'| "$1" "$2" verify_full_disk "{stage.lab}"; }}'
    )
    actor = stage.script(script, prefix=("unshare", "--mount"))

    (verified,) = actor.rest()

    reports = [json.loads(line) for line in told.read_text().splitlines()]
    changes = {report["change"]: report for report in reports if "change" in report}
    assert len(changes) == 10
    for name, report in changes.items():
        assert report["refused"].startswith("StorageFullError: No space left for "), (name, report)
        assert "free some space" in report["refused"]
        assert {0, 1, 2} <= set(report["done"])
    if last == "full":
        assert reports[-2]["error"] == "StorageFullError"
        assert reports[-2]["status"] == "running"
    expected = "interrupted" if last == "kill" else "succeeded"
    assert verified == {"status": expected}
    assert int((stage.folder / "told.exit").read_text()) == (137 if last == "kill" else 0)


def written(stage, *, dies: bool) -> None:
    """A workspace with a run that succeeded, and another that was begun by a process that died or still lives."""
    stage.start("track_one").rest()
    owner = stage.start("own", "two")
    owner.hear()
    if dies:
        owner.kill()


def content(lab) -> dict[str, tuple[bytes, int]]:
    """Every file, but the events of the owner that may be alive."""
    files = [path for path in lab.rglob("*") if path.is_file() and "two/executions/1.jsonl" not in str(path)]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("dies", [True, False], ids=["beside a dead run", "beside a live run"])
@pytest.mark.parametrize("who", ["read-only mount", "somebody else's"])
def test_what_cannot_be_written_can_be_read(stage, who, dies):
    written(stage, dies=dies)
    before = content(stage.lab)
    cache, scratch = stage.folder / "cache", stage.folder / "scratch"
    for folder in (cache, scratch):
        folder.mkdir()
        folder.chmod(0o777)
    environ = {"MOLEXP_CACHE_DIR": str(cache), "TMPDIR": str(scratch)}

    if who == "read-only mount":
        mount = f'mount --bind "{stage.lab}" "{stage.lab}" && mount -o remount,bind,ro "{stage.lab}"'
        (report,) = mounted(stage, "change_nothing", mount=mount, **environ).rest()
        error = "ReadOnlyError"
    else:
        if not is_open_to_others():
            pytest.skip("other users cannot read the folder that the tests run in")
        for folder in (stage.folder, *stage.folder.parents):
            if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o005)
        (report,) = stage.start("as_nobody", **environ).rest()
        error = "StorePermissionError"

    assert report["status"] == "succeeded"
    assert report["results"] == {"energy": 1.0}
    assert report["artifact"] == {"attempt": 1}
    assert report["rows"] == {"metals/cu/one": "succeeded", "metals/cu/two": "interrupted" if dies else "running"}
    assert report["assets"] == 4
    assert report["findings"] == []
    live = {"start": "RunBusyError", "delete": "RunBusyError"} if not dies else {}
    wanted = dict.fromkeys(("project", "run", "start", "annotate", "delete", "import", "configure"), error)
    assert report["refused"] == wanted | live
    assert content(stage.lab) == before
