"""Load and save in a process of its own, for the kit of asset kinds: ``python -m molexp.testing._kind_worker FILE CLASS FOLDER``."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from molexp.testing._kind_sinks import LocalPayload


def kit_of(file: str, name: str) -> Any:
    """Return an instance of a kit's subclass, from the file of its module."""
    spec = importlib.util.spec_from_file_location("molexp_kit_under_test", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found()


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
