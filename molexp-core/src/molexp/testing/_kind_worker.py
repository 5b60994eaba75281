"""Load and save in a process of its own, for the kit of asset kinds: ``python -m molexp.testing._kind_worker FILE CLASS FOLDER``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from molexp.testing._kind_sinks import LocalPayload
from molexp.testing._kit_process import kit_of


def main(file: str, name: str, folder: str) -> None:
    """Load what lies in a folder, compare it with the kit's objects, and save these again; print what came of it."""
    kit = kit_of(file, name)
    kind = kit.kind()()
    found = []
    for number, obj in enumerate(kit.objects()):
        loaded = kind.load(LocalPayload(Path(folder, str(number)), fields=kit.fields(obj), schema=kind.schema))
        again = LocalPayload(Path(folder, f"again-{number}"), name="a")
        kind.save(obj, again)
        found.append([kit.is_same(loaded, obj), again.digest()])
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
