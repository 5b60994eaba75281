"""Pin what `uv run` installs: in constraints.txt for pip, and in pyproject.toml, the one place where uv looks.

`python tools/pin.py` pins what is not pinned yet (after a change of a dependency); `--upgrade` moves every pin to the
newest version. Both files are written, neither names a host.
"""

import argparse
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = ROOT / "pyproject.toml"
CONSTRAINTS = ROOT / "constraints.txt"
BLOCK = re.compile(r"(?<=^# <pins>\n).*?(?=^# </pins>$)", re.MULTILINE | re.DOTALL)
HEADER = "# Written by tools/pin.py. With pip: `pip install -c constraints.txt PACKAGE`; uv reads the same from pyproject.toml.\n"


def uv(*arguments: str) -> str:
    return subprocess.run(["uv", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def resolve() -> list[str]:
    exported = uv(
        "export",
        "--all-packages",
        "--all-extras",
        "--all-groups",
        "--no-emit-workspace",
        "--no-hashes",
        "--no-header",
        "--no-annotate",
    )
    return exported.splitlines()


def toml_list(name: str, items: list[str]) -> str:
    if not items:
        return f"{name} = []\n"
    return f"{name} = [\n" + "".join(f'  "{item}",\n' for item in items) + "]\n"


def render(text: str, pins: list[str]) -> str:
    backend = [pin for pin in pins if pin.startswith("hatchling==")]
    block = toml_list("constraint-dependencies", pins) + toml_list("build-constraint-dependencies", backend)
    return BLOCK.sub(lambda _: block, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="move every pin to the newest version")
    before = PYPROJECT.read_text()
    try:
        if parser.parse_args().upgrade:
            PYPROJECT.write_text(render(before, []))
            uv("lock", "--upgrade")
        pins = resolve()
    except BaseException:
        PYPROJECT.write_text(before)
        raise
    CONSTRAINTS.write_text(HEADER + "".join(f"{pin}\n" for pin in pins))
    PYPROJECT.write_text(render(before, pins))
    print(f"{len(pins)} pins")


if __name__ == "__main__":
    main()
