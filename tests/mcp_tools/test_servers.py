"""The command `molexp mcp`: on standard input and output, and by HTTP for those who have the token."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

MOLEXP = [sys.executable, "-m", "molexp_cli"]


def test_a_client_starts_the_command_and_asks(lab):
    from mcp import StdioServerParameters
    from mcp.client.client import Client
    from mcp.client.stdio import stdio_client

    async def asked():
        started = StdioServerParameters(command=MOLEXP[0], args=[*MOLEXP[1:], "mcp", "-w", lab.url])
        async with Client(stdio_client(started)) as client:
            return await client.call_tool("find_runs", {"query": "results.energy < -3"})

    assert "1 of 1 runs that match" in str(asyncio.run(asked()).content)


@contextmanager
def served(*arguments):
    process = subprocess.Popen([*MOLEXP, "mcp", *arguments, "--http", "--port", "0"], stderr=subprocess.PIPE, text=True)
    told = process.stderr
    assert told is not None
    try:
        address = told.readline()
        assert address.startswith("Listening on http://127.0.0.1:"), address + told.read()
        yield int(address.rpartition(":")[2].removesuffix("/mcp\n")), told.readline().removeprefix("Token: ").strip()
    finally:
        process.terminate()
        told.read()
        told.close()
        process.wait(300)


def test_http_is_for_those_who_have_the_token_and_name_the_host(lab):
    def status(port, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            },
        }
        given = {"content-type": "application/json", "accept": "application/json, text/event-stream", **headers}
        connection.request("POST", "/mcp", json.dumps(body), given)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    async def asked(port, token):
        import httpx2
        from mcp.client.client import Client
        from mcp.client.streamable_http import streamable_http_client

        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http_client:
            transport = streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http_client)
            async with Client(transport) as client:
                return await client.call_tool("show_run", {"run": "cu-2"})

    with served("-w", lab.url) as (port, token):
        assert status(port) == 401
        assert status(port, Authorization="Bearer x") == 401
        good = {"Authorization": f"Bearer {token}"}
        assert status(port, **good) == 200
        assert status(port, **good, Host="evil.example") == 421
        assert status(port, **good, Origin="http://evil.example") == 403
        assert "metals/cu/cu-2 is succeeded" in str(asyncio.run(asked(port, token)).content)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--allow-changes"], "--project"),
        (["--project", "metals"], "--allow-changes"),
        (["--script", "nothing.py"], "There is no script 'nothing.py'"),
        (["-w", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_said_before_anything_is_served(arguments, word, tmp_path, monkeypatch, capfd):
    from molexp_cli._main import run

    monkeypatch.chdir(tmp_path)
    assert run(["mcp", *arguments]) != 0
    assert word in capfd.readouterr().err
