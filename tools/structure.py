"""Measure the structure of the code: ``uv run python tools/structure.py [CHECKOUT ...]``.

Prints, for each checkout, the lines of every package, the imports between packages, the largest import cycle, and how
much code one tracked run and one query enter. Name two checkouts to compare them; each needs its own ``.venv``. By
default the checkout is the one that holds this file. ``--json`` prints the same as JSON.

Lines of logic leave out docstrings, blank lines, comments and imports. An import between modules counts wherever it
stands: at module level, in a function, or under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CORE = Path("molexp-core/src")

# Runs in the interpreter of the checkout. Counts the functions of the project that are entered, and their files.
PROBE = """
import json, os, sys, tempfile
import molexp as me
os.environ["MOLEXP_CACHE_DIR"] = tempfile.mkdtemp()
ws = me.Workspace(tempfile.mkdtemp() + "/lab"); exp = ws.Project("p").Experiment("e")
def run(i):
    with exp.Run({"i": i}).start() as ctx:
        ctx.set_result("x", i); ctx.artifact.save("a.json", {"i": i}); ctx.log("l").append("line"); ctx.metrics.log({"loss": 0.5}, step=1)
def query():
    list(ws.catalog.runs("params.i >= 0", sort="results.x"))
def entered(call):
    seen = set()
    def note(frame, event, arg):
        code = frame.f_code
        if event == "call" and "/molexp" in code.co_filename and "site-packages" not in code.co_filename and code.co_name != "<module>":
            seen.add((code.co_filename, code.co_qualname if hasattr(code, "co_qualname") else code.co_name, code.co_firstlineno))
    sys.setprofile(note)
    try: call()
    finally: sys.setprofile(None)
    names = sorted(f"{file.rpartition('/src/')[2]}: {name}" for file, name, _ in seen)
    return {"functions": len(seen), "files": len({file for file, *_ in seen}), "names": names}
run(0); query(); run(1)  # whatever happens once has happened
print(json.dumps({"run": entered(lambda: run(2)), "query": entered(query)}))
"""


@dataclass
class Package:
    """The size of one package: lines of all its modules, and lines of logic."""

    modules: int = 0
    lines: int = 0
    logic: int = 0


@dataclass
class Structure:
    """The figures of one checkout."""

    packages: dict[str, Package]
    against_the_order: list[str]
    largest_cycle: list[str]
    function_level_imports: int
    arrows: dict[str, list[str]]
    entered: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def logic_lines(text: str, tree: ast.Module) -> int:
    """Count the lines that hold code other than imports and docstrings."""
    lines = enumerate(text.split("\n"), 1)
    kept = {number for number, line in lines if (start := line.lstrip()[:1]) and start != "#"}
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) or (isinstance(node, ast.Expr) and is_docstring(node)):
            left_out.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        elif isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            kept.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))  # with its empty lines
    return len(kept - left_out)


def is_docstring(node: ast.Expr) -> bool:
    """Tell whether an expression is a string that stands for itself."""
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def module_name(path: Path, source: Path) -> str:
    """Name the module that a file holds."""
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[tuple[str, bool]]:
    """Yield each imported name, and whether the import stands in a function."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, is_inside = waiting.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, is_inside
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: len(module.split(".")) - node.level + is_package] if node.level else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{target}.{alias.name}", is_inside
        elif not isinstance(node, ast.expr):  # no statement is part of one
            is_inside = is_inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            waiting += ((child, is_inside) for child in ast.iter_child_nodes(node))


def package_of(module: str) -> str:
    """Name the package of a module: the first two parts, ``molexp._record``."""
    return ".".join(module.split(".")[:2])


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Find the strongly connected components of a graph, largest first (Tarjan, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []
    for root in graph:
        work: list[tuple[str, Iterator[str]]] = [] if root in index else [(root, iter(sorted(graph[root])))]
        while work:
            node, rest = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
            for child in rest:
                if child not in index:
                    work.append((child, iter(sorted(graph[child]))))
                    break
                if child in stack:
                    low[node] = min(low[node], low[child])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    cut = stack.index(node)
                    found.append(sorted(stack[cut:]))
                    del stack[cut:]
    return sorted(found, key=len, reverse=True)


def layers(checkout: Path) -> dict[str, int]:
    """Read the order of the packages from the configuration of the import checker: 0 is the lowest."""
    contracts = tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    order = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return {
        name.strip(" ()"): height
        for height, layer in enumerate(reversed(order))
        for name in layer.replace(":", "|").split("|")
    }


def examine(checkout: Path) -> Structure:
    """Read every module of the core and count."""
    source = checkout / CORE
    files = {module_name(path, source): path for path in sorted(source.rglob("*.py"))}
    packages: dict[str, Package] = defaultdict(Package)
    graph: dict[str, set[str]] = {module: set() for module in files}
    inside = 0
    for module, path in files.items():
        text = path.read_text()
        tree = ast.parse(text)
        package = packages[package_of(module)]
        package.modules += 1
        package.lines += text.count("\n")
        package.logic += logic_lines(text, tree)
        for name, in_function in imports(tree, module, path.name == "__init__.py"):
            inside += in_function
            target = name if name in files else name.rpartition(".")[0]
            if target in files and target != module:
                graph[module].add(target)
    return Structure(
        packages=dict(sorted(packages.items())),
        against_the_order=sorted(upward(graph, layers(checkout))),
        largest_cycle=next((found for found in cycles(graph) if len(found) > 1), []),
        function_level_imports=inside,
        arrows=arrows(graph),
    )


def arrows(graph: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """List, for each package, the packages that it imports from."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, targets in graph.items():
        found[package_of(module)].update(map(package_of, targets))
    return {package: sorted(targets - {package}) for package, targets in sorted(found.items())}


def picture(found: Structure, height: Mapping[str, int]) -> Iterator[str]:
    """Draw the packages, the highest first, each with those that it imports from."""
    short = {package: package.removeprefix("molexp.") for package in found.packages if package in height}
    for package in sorted(short, key=lambda name: -height[name]):
        used = sorted((other for other in found.arrows[package] if other in height), key=lambda name: -height[name])
        yield f"{short[package]:16} {' '.join(short[other] for other in used)}".rstrip()


def upward(graph: Mapping[str, set[str]], height: Mapping[str, int]) -> Iterable[str]:
    """Yield the imports that go from a lower package to a higher one."""
    for module, targets in graph.items():
        for target in targets:
            below, above = height.get(package_of(module)), height.get(package_of(target))
            if below is not None and above is not None and below < above:
                yield f"{module} -> {target}"


def probe(checkout: Path) -> Mapping[str, Mapping[str, Any]]:
    """Track one run and ask one query in the checkout's own environment."""
    python = next(
        path for path in (checkout / ".venv/bin/python", checkout / ".venv/Scripts/python.exe") if path.exists()
    )
    done = subprocess.run([str(python), "-c", PROBE], capture_output=True, text=True, check=True)
    answer: Mapping[str, Mapping[str, Any]] = json.loads(done.stdout)
    return answer


def report(name: str, found: Structure, *, names: bool) -> Iterator[str]:
    """Yield the lines that a person reads."""
    total = Counter[str]()
    yield f"{name}\n{'package':28}{'modules':>9}{'lines':>9}{'logic':>9}"
    for package, size in found.packages.items():
        total.update(asdict(size))
        yield f"{package:28}{size.modules:9}{size.lines:9}{size.logic:9}"
    yield f"{'all':28}{total['modules']:9}{total['lines']:9}{total['logic']:9}"
    yield f"packages                     {len(found.packages)}"
    yield f"imports against the order    {len(found.against_the_order)} {' '.join(found.against_the_order)}".rstrip()
    yield f"modules in the largest cycle {len(found.largest_cycle)}"
    yield f"imports in functions         {found.function_level_imports}"
    for what, counts in found.entered.items():
        yield f"one {what:6} enters             {counts['functions']} functions in {counts['files']} files"
        yield from (f"  {entered}" for entered in counts["names"] if names)


def main() -> int:
    """Print the figures of each checkout."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkouts", nargs="*", type=Path, default=[ROOT], metavar="CHECKOUT")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--picture", action="store_true", help="draw the packages, and what each imports, instead")
    parser.add_argument("--names", action="store_true", help="list the functions that one run and one query enter")
    parser.add_argument("--no-probe", action="store_true", help="count the sources only; run nothing")
    arguments = parser.parse_args()
    answers: dict[str, Any] = {}
    for checkout in arguments.checkouts:
        found = examine(checkout)
        if arguments.picture:
            print("\n".join(picture(found, layers(checkout))))
            continue
        if not arguments.no_probe:
            found.entered = probe(checkout)
        answers[str(checkout)] = asdict(found)
        if not arguments.json:
            print("\n".join(report(str(checkout), found, names=arguments.names)), end="\n\n")
    if arguments.json:
        print(json.dumps(answers, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
