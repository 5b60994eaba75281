"""npm's s3rver, which ignores the conditions of a write: a server that must be refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

KEYS = ("S3RVER", "S3RVER")  # fixed by the program
SCRIPT = """
const S3rver = require(process.argv[1]);
const server = new S3rver({address: "127.0.0.1", port: 0, silent: true, directory: process.argv[2]});
server.run().then(({port}) => console.log("ready " + port));
process.stdin.on("end", () => process.exit()).resume();
"""


def module() -> Path:
    """Return the folder that install.sh puts it into."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "molexp-tests" / "s3rver" / "node_modules" / "s3rver"


def missing() -> str:
    """Say why the server cannot run here, or nothing."""
    if shutil.which("node") is None:
        return "node is not installed"
    return "" if module().is_dir() else "s3rver is not installed: run tests/servers/install.sh"


def command(folder: Path) -> list[str]:
    """Return the command that starts the server."""
    return ["node", "-e", SCRIPT, str(module()), str(folder)]
