"""A Ceph of one node, in memory, behind its S3 gateway: the server with the exact conditional writes."""

from __future__ import annotations

import os
import random
import shutil
import socket
import sys
from pathlib import Path

KEYS = ("labkey", "labsecret")
STRANGER = ("strangerkey", "strangersecret")  # a user who may do nothing in the first one's buckets
PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin", "setpriv")
SCRIPT = Path(__file__).with_name("radosgw-up.sh")


def missing() -> str:
    """Say why the server cannot run here, or nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Ceph's daemons need root on Linux"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(absent)} not installed: run tests/servers/install.sh" if absent else ""


def command(folder: Path) -> list[str]:
    """Return the command that starts the server."""
    monitor, gateway = free_ports(2)
    return [str(SCRIPT), str(folder), str(monitor), str(gateway), *KEYS, *STRANGER]


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, below those that the system gives to clients and to whom asks for any."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
