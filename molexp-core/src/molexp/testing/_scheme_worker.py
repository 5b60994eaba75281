"""Derive run ids in a process of its own, for the kit of run-id schemes: ``python -m molexp.testing._scheme_worker FILE CLASS``."""

from __future__ import annotations

import json
import platform
import socket
import sys
import uuid

from molexp.testing._kit_process import kit_of
from molexp.testing._scheme_identities import EVERY


def main(file: str, name: str) -> None:
    """Print the ids of all identities, in another order, as on another machine."""
    socket.gethostname = socket.getfqdn = platform.node = lambda *_: "another-machine"  # type: ignore[assignment]
    uuid.getnode = lambda: 2**40 + 1
    scheme = kit_of(file, name).scheme()()
    found = [scheme.derive(identity) for identity in reversed(EVERY)]
    sys.stdout.write(f"{json.dumps(found[::-1])}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
