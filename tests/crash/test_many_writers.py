"""Sixteen processes write, others watch: everything arrives, and nothing that was seen is ever unseen."""

from __future__ import annotations

import os

WRITERS, RUNS = 16, 25


def test_everything_arrives_and_nothing_vanishes(stage):
    reader, writer = os.pipe()
    caches = {"": {}, "its own": {"MOLEXP_CACHE_DIR": str(stage.folder / "own")}}
    stage.start("track", 99, 1).rest()  # so that there is something to poll
    pollers = [stage.start("poll", gates=(reader,), **more) for more in caches.values()]
    for poller in pollers:
        assert poller.hear() == {"ready": True}

    writers = [stage.start("track", number, RUNS) for number in range(WRITERS)]
    tracked = {report["run"] for actor in writers for report in actor.rest()}
    os.close(writer)
    reports = [poller.rest()[-1] for poller in pollers]
    os.close(reader)
    (seen,) = stage.start("look").rest()
    (anew,) = stage.start("look", MOLEXP_CACHE_DIR=str(stage.folder / "anew")).rest()

    assert len(tracked) == WRITERS * RUNS
    for report in reports:
        assert report["wrong"] == []
        assert tracked < report["statuses"].keys()
        assert set(report["statuses"].values()) == {"succeeded"}
        assert report["assets"] == 3 * (len(tracked) + 1)
        assert report["rounds"] > 3
    for look in (seen, anew):
        assert tracked < look["files"].keys()
        assert look["files"].keys() == look["catalog"].keys()
        assert len(look["files"]) == len(tracked) + 1
        assert all(found[:2] == ["succeeded", 3] for found in look["files"].values())
        assert all(look["catalog"][path] == [found[0], found[2]] for path, found in look["files"].items())
        assert look["assets"] == look["file_assets"]
        assert len(look["assets"]) == 3 * (len(tracked) + 1)
