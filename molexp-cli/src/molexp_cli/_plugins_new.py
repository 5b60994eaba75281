"""``molexp plugins new``: begin a plugin, as a distribution that can be installed and whose tests pass."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from molexp_cli import __version__
from molexp_cli._commands import is_ours
from molexp_cli._options import JsonOption
from molexp_cli._output import say, write

_WHAT = {
    "kind": ("asset kind", "kinds"),
    "store": ("storage backend", "store"),
    "executor": ("executor", "executor"),
    "scheme": ("run-id scheme", "scheme"),
    "queue": ("queue", "queue"),
    "command": ("command", "commands"),
}
"""The sorts of plugins: what people call them, and the module that has them."""

_NAME = re.compile(r"[a-z](?:[a-z0-9]|[-_.](?=[a-z0-9]))*")


def new(
    sort: Annotated[str, typer.Argument(metavar="SORT", help=f"One of {', '.join(_WHAT)}.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The distribution's name, such as molexp-spectra.")],
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FOLDER", help="Make its folder there; by default, here.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a folder with a plugin that works: code, tests, types, a README and a file for continuous integration.

    Install it with `pip install -e 'NAME[test]'`, and its tests pass. Then put your own code in the place of the example.

    Examples:
        molexp plugins new kind molexp-spectra
        molexp plugins new store lab-store --into ~/code
    """
    import molexp
    from molexp.errors import MolexpError

    if sort not in _WHAT:
        raise typer.BadParameter(f"{sort!r} is none of {', '.join(_WHAT)}.", param_hint="SORT")
    if not _NAME.fullmatch(name):
        raise typer.BadParameter(
            f"{name!r} is no name of a distribution: write lower-case letters, digits and hyphens.", param_hint="NAME"
        )
    if unfit := _unfit(sort, name):
        raise typer.BadParameter(f"{unfit} Choose another name.", param_hint="NAME")
    folder = (into or Path()) / name
    if folder.exists():
        raise MolexpError(f"{str(folder)!r} exists already. Choose another name, or another folder with --into.")
    files = _files(sort, name)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with open(folder / path, "x", encoding="utf-8") as file:
            file.write(text)
    if as_json:
        write(molexp.to_json({"folder": str(folder), "files": sorted(files)}, pretty=True))
    else:
        write("\n".join(str(folder / path) for path in sorted(files)))
        say(f"Next: pip install -e '{folder}[test]', then pytest {folder}")


def _package(name: str) -> str:
    return re.sub(r"[-.]", "_", name)


def _thing(name: str) -> str:
    return _package(name).removeprefix("molexp_")


def _class(thing: str) -> str:
    return "".join(part.title() for part in thing.split("_"))


def _unfit(sort: str, name: str) -> str:
    """Return why a distribution of this sort cannot have a name, as its own tests would say; "" if it can."""
    from molexp import RunContext
    from molexp.plugins import PluginManager
    from molexp.workflow import TaskContext

    what, thing = _WHAT[sort][0], _thing(name)
    if _package(name) in ("molexp", "molexp_core", "molexp_cli"):
        return f"{_package(name)!r} is a package of MolExp itself."
    if not thing.isidentifier() or keyword.iskeyword(thing) or keyword.iskeyword(_class(thing)):
        return f"The {what} would be called {thing!r} and {_class(thing)!r}, and Python does not take both as names."
    contexts = [cls for context in (RunContext, TaskContext) for cls in context.__mro__]
    if sort == "kind" and any(thing in vars(cls) or thing in vars(cls).get("__annotations__", ()) for cls in contexts):
        return f"The {what} would be called {thing!r}, and contexts have ctx.{thing} for something else."
    thing = thing.replace("_", "-") if sort in ("store", "command") else thing
    if sort == "command" and is_ours(thing):
        return f"MolExp has a command {thing!r} itself, which would be called in place of yours."
    manager = PluginManager()
    for one in manager.plugins():
        if thing in (manager.declares(one) or {}).get(what, ()):
            return f"The {what} {thing!r} is that of {one.distribution}."
    return ""


def _files(sort: str, name: str) -> dict[str, str]:
    """Return the files of a new distribution: path to text."""
    from importlib import resources  # not cheap, and help has no need of it

    package, thing = _package(name), _thing(name)
    what, module = _WHAT[sort]
    article = "An" if what[0] in "aeiou" else "A"
    major, minor, *_ = (int(part) for part in re.findall(r"\d+", __version__))
    values = {
        "name": name,
        "package": package,
        "thing": thing if sort not in ("store", "command") else thing.replace("_", "-"),
        "function": thing,
        "Class": _class(thing),
        "what": what,
        "What_article": article,
        "module": module,
        "more": f', "molexp-cli>={major}.{minor},<{major}.{minor + 1}"' if sort == "command" else "",
        "core": f"{major}.{minor}",
        "next_core": f"{major}.{minor + 1}",
    }
    templates = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        ".github/workflows/test.yml": "ci.yml",
        f"src/{package}/plugin.py": f"{sort}/plugin.py",
        f"src/{package}/{module}.py": f"{sort}/{module}.py",
        f"tests/test_{module}.py": f"{sort}/test_{module}.py",
        **({f"src/{package}/engine.py": "queue/engine.py"} if sort == "queue" else {}),
        "tests/test_plugin.py": "test_plugin.py",
    }
    root = resources.files("molexp_cli") / "templates"
    found = {
        path: Template(root.joinpath(f"{template}.txt").read_text(encoding="utf-8")).substitute(values)
        for path, template in templates.items()
    }
    title = f'"""{article} {what} for MolExp."""\n'
    return {**found, f"src/{package}/__init__.py": title, f"src/{package}/py.typed": ""}
