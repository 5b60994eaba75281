"""Documents of submissions are data, perhaps a stranger's: nothing is started, cancelled or ended because of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from molexp.plugins import default_manager
from tests.submissions.conftest import Place


def test_nothing_of_ours_is_cancelled_and_nothing_of_theirs_is_started(place: Place):
    os.mkfifo("gate")
    place.submit("--first", "1")
    place.until(lambda: place.rows("running"))
    ours, document = _submission()
    watcher = f"molexp-{ours}-w"

    _write("zz", document, ids={"molexp-zz": f"molexp-{ours}"}, watcher=watcher)
    assert place.molexp("-w", "lab", "cancel", "--submission", "zz").code == 0
    _write("zy", {**document, "batches": [[f"molexp-{ours}", 0, 1]]}, ids={f"molexp-{ours}": f"molexp-{ours}"})
    assert place.molexp("-w", "lab", "cancel", "--submission", "zy").code == 3, "it is named as what cannot be read"
    assert not [name for batch in Path("queue/batches").iterdir() for name in os.listdir(batch) if "cancel" in name]

    command = ["touch", str(Path("executed").absolute())]
    batch = json.loads(Path(f"queue/batches/molexp-{ours}/batch.json").read_text())
    theirs = Path("theirs/batches/molexp-zx")
    theirs.mkdir(parents=True)
    (theirs / "batch.json").write_text(json.dumps({**batch, "token": "molexp-zx", "command": command, "output": ""}))
    local: Any = default_manager().queue("local")
    _write("zx", {**document, "options": {"folder": "theirs"}, "engine": local(folder="theirs").engine()})
    said = json.loads(place.molexp("-w", "lab", "queue", "--json").out)
    assert "you have submitted nothing to the folder" in {row["id"]: row["why"] for row in said}["zx"]
    assert place.molexp("-w", "lab", "cancel", "--submission", "zx").code == 4
    assert os.listdir("theirs") == ["batches"]
    assert place.rows("running") == {1: "running"}


def test_jobs_of_others_that_are_not_shown_to_us_have_not_ended(place: Place):
    (place.folder / "unreachable").touch()
    place.submit("--first", "1")
    os.unlink("unreachable")
    _, document = _submission()
    _write("theirs", {**document, "by": {**document["by"], "user": "somebody"}}, ids={"molexp-theirs": "7"})
    _write("gone", document, ids={"molexp-gone": "8"})
    _write("counted", document)
    end = {"schema": 1, "type": "settled", "states": {"done": "\x1b[31m", "failed": 1}}
    Path("lab/submissions/counted.end.json").write_text(json.dumps(end))
    said = json.loads(place.molexp("-w", "lab", "queue", "--json").out)
    assert "are those of somebody" in {row["id"]: row["why"] for row in said}["theirs"]
    assert os.path.exists("lab/submissions/gone.end.json")
    assert not os.path.exists("lab/submissions/theirs.end.json")
    Path("lab/submissions/gone.end.json").write_text(json.dumps({**end, "states": "none"}))
    listed = place.molexp("-w", "lab", "queue", "--all", "--no-ask", "--json")
    assert {row["id"]: row["states"] for row in json.loads(listed.out)}["counted"] == {"failed": 1}, listed.err


def test_a_workspace_without_room_for_output_submits_nothing_and_says_why(place: Place):
    Path("lab/.molexp").mkdir(parents=True)
    Path("lab/.molexp/output").touch()
    refused = place.submit()
    assert (refused.code, "for what jobs print cannot be made" in refused.err) == (4, True), refused.err
    assert not os.path.exists("submitted.txt")
    assert "no submission is open" in place.molexp("-w", "lab", "queue").err


def _submission() -> tuple[str, dict[str, Any]]:
    (path,) = [one for one in Path("lab/submissions").iterdir() if one.name.count(".") == 1]
    return path.stem, json.loads(path.read_text())


def _write(name: str, document: dict[str, Any], ids: dict[str, str] | None = None, watcher: str = "") -> None:
    batches = document["batches"]
    if name != "zy":
        batches = [[f"molexp-{name}", 0, batches[0][2]]]
    Path(f"lab/submissions/{name}.json").write_text(json.dumps({**document, "id": name, "batches": batches}))
    if ids is not None:
        answer = {"schema": 1, "type": "submitted", "ids": ids, "watcher": watcher}
        Path(f"lab/submissions/{name}.job.json").write_text(json.dumps(answer))
