"""The command `molexp ui`, as a process that somebody starts, opens in a browser and stops."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager

import pytest

import molexp as me
from tests import warm

TOLD = re.compile(r"Listening on http://127\.0\.0\.1:(\d+)(/\S*)\?token=(\S+)\n")


@contextmanager
def served(*arguments):
    command = [sys.executable, "-m", "molexp_cli", "ui", "--port", "0", *arguments]
    process = warm.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        told = TOLD.fullmatch(line)
        assert told, line + process.stderr.read()
        yield int(told[1]), told[2], told[3], process
    finally:
        process.terminate()
        process.stderr.close()
        process.wait(300)


@contextmanager
def answer(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as response:
            yield response
    finally:
        connection.close()


def asked(port, path, **headers):
    """Return the status, headers and text of an answer."""
    with answer(port, path, **headers) as response:
        return response.status, response.headers, response.read().decode()


def test_a_browser_is_started_with_an_address_that_opens_the_page_once(lab, tmp_path, monkeypatch):
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$@" > {opened}\n')
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(browser))
    with served("-w", lab.url, "--open") as (port, path, token, _):
        asked(port, "/")  # it answers when the browser has been started
        address = opened.read_text().strip()
        assert address.startswith(f"http://127.0.0.1:{port}{path}?token=")
        assert token not in address, "all users of the machine see the arguments of a process"
        way_in = address.removeprefix(f"http://127.0.0.1:{port}")
        first, again = asked(port, way_in), asked(port, way_in)
        assert (first[0], again[0]) == (303, 401)
        assert asked(port, "/w/lab/", Cookie=first[1]["set-cookie"].partition(";")[0])[0] == 200


def test_the_printed_address_opens_the_page_and_a_log_is_followed_while_it_grows(lab):
    with served("-w", lab.url, "--prefix", "/molexp") as (port, path, token, process):
        status, headers, _ = asked(port, f"{path}?token={token}")
        assert (status, headers["location"]) == (303, "/molexp/")
        cookie = headers["set-cookie"].partition(";")[0]
        status, _, page = asked(port, "/molexp/w/lab/", Cookie=cookie)
        assert status == 200
        assert "/molexp/static/site.css" in page
        assert asked(port, "/molexp/w/lab/")[0] == 401
        with ExitStack() as streams:
            with lab.project("metals").experiment("cu").Run({"a": 4.0}, id="live").start() as ctx:
                ctx.log("train").append("begun")
                where = "/molexp/api/v1/workspaces/lab/logs?run=metals/cu/live&follow=1"
                stream = streams.enter_context(answer(port, where, Cookie=cookie))
                assert data_of(stream) == ["begun"]
                ctx.log("train").append("goes on")
                assert data_of(stream) == ["goes on"]
            assert b"event: end" in stream.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(300) in (0, 130, -signal.SIGINT)


def data_of(stream):
    """Return the data of the next event that has some."""
    while True:
        line = stream.readline().decode()
        assert line, "the stream has ended"
        if line.startswith("data: "):
            return json.loads(line.removeprefix("data: "))


def test_several_workspaces_are_served_beside_each_other(lab, tmp_path):
    other = me.Workspace(tmp_path / "elsewhere" / "lab").materialize()
    with served("-w", lab.url, "-w", other.url) as (port, _, token, _):
        found = json.loads(asked(port, "/api/v1/workspaces", Authorization=f"Bearer {token}")[2])
    assert found == [{"name": "lab", "url": lab.url}, {"name": "lab-2", "url": other.url}]


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["-w", "nowhere"], {}, "nowhere"),
        (["--host", "no such host"], {}, "no such host"),
        (["--script", "train.py"], {}, "--script needs --allow-changes"),
        (["--script", "train.py", "--allow-changes"], {}, "There is no script 'train.py'"),
        ([], {"MOLEXP_UI_TOKEN": "short"}, "MOLEXP_UI_TOKEN has fewer than 16 characters"),
    ],
)
def test_a_mistake_is_said_before_anything_is_served(lab, arguments, environment, words, tmp_path, monkeypatch, capfd):
    from molexp_cli._main import run

    monkeypatch.chdir(tmp_path / "lab")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run(["ui", *arguments]) != 0
    assert words in capfd.readouterr().err


def test_a_port_that_is_taken_is_named_and_children_do_not_inherit_the_token(lab, capfd, monkeypatch):
    from molexp_cli._main import run

    monkeypatch.setenv("MOLEXP_UI_TOKEN", "a" * 20)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(["-w", lab.url, "ui", "--port", str(port)]) != 0
    assert f"port {port}" in capfd.readouterr().err
    assert "MOLEXP_UI_TOKEN" not in os.environ


def test_threads_may_ask_at_the_same_time(client):
    asking, statuses = client(), list[int]()

    def ask():
        statuses.extend(
            asking.get(f"/api/v1/workspaces/lab/{what}").status_code for what in ("runs", "assets", "projects")
        )

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 12
