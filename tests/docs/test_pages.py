"""The documentation works as it is shown: its Python and its commands run, its links lead somewhere."""

from __future__ import annotations

import linecache
import re
import sys
from pathlib import Path

import pytest

from tests.docs.pages import Block, blocks, commands, matches
from tests.repository import ROOT, files

PAGES = [path for path in files() if path.suffix == ".md"]
COMMITTED = {*files(), *(folder for path in files() for folder in path.parents if folder.is_relative_to(ROOT))}
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks_of(page: Path) -> list[Block]:
    return list(blocks(page, page.read_text(encoding="utf-8")))


@pytest.fixture
def modules(tmp_path):
    """Keep what a page saves and imports from every other page."""
    yield
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.usefixtures("modules", "_server")
@pytest.mark.parametrize("page", [page for page in PAGES if any(b.is_run for b in blocks_of(page))], ids=name)
def test_a_page_does_what_it_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as in an interpreter that was started there
    linecache.checkcache(str(page))
    namespace: dict[str, object] = {"__name__": "__page__"}
    for block in blocks_of(page):
        if block.is_run:
            block.run(namespace)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_block_that_is_not_run_says_why(page):
    for block in blocks_of(page):
        assert block.no_run is None or block.no_run, f"{page}:{block.line}: `<!-- no-run: reason -->` without a reason"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page):
    for found in LINK.finditer(without_code(page.read_text(encoding="utf-8"))):
        target, _, fragment = found["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        linked = (page.parent / target).resolve() if target else page
        assert linked in COMMITTED, f"{name(page)} links to {found['target']}, which is not in the repository"
        if fragment and linked.suffix == ".md":
            assert fragment in anchors(linked), f"{name(page)} links to {found['target']}: no such heading"


def test_pages_that_are_mentioned_exist():
    mentioned = {
        (str(path.relative_to(ROOT)), found)
        for path in files()
        if path.suffix in {".py", ".md", ".toml"}
        for found in re.findall(r"\bdocs/[\w./-]+\.md\b", path.read_text(encoding="utf-8"))
    }
    missing = sorted((where, page) for where, page in mentioned if not (ROOT / page).is_file())
    assert not missing


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```\s*$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The ids that a Markdown renderer gives to headings."""
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_blocks_are_found_with_their_lines_and_reasons(tmp_path):
    text = "a\n\n```python\nx = 1\n```\n\n<!-- no-run: needs a cluster -->\n```python\ny\n```\n\n- b\n\n  ```python\n  z = 2\n  ```\n"
    found = list(blocks(tmp_path / "a.md", text))
    assert [(b.line, b.code, b.no_run) for b in found] == [
        (3, "x = 1\n", None),
        (8, "y\n", "needs a cluster"),
        (14, "z = 2\n", None),
    ]


def test_a_file_is_saved_where_a_block_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "```yaml\n# molcfg.yaml\ndefaults: {}\n```\n\n```python\n# a.py\nx = 1\n```\n\n```sh\nrm -r x\n```\n"
    found = list(blocks(tmp_path / "a.md", text))
    assert [block.is_run for block in found] == [True, True, False]
    namespace: dict[str, object] = {}
    for block in found[:2]:
        block.run(namespace)
    assert Path("molcfg.yaml").read_text() == "# molcfg.yaml\ndefaults: {}\n"
    assert Path("a.py").read_text() == "# a.py\nx = 1\n"
    assert namespace["x"] == 1


def test_commands_print_what_the_page_says():
    code = "$ molexp run a.py\nmolexp: ... succeeded in ... s\n...\n1 succeeded\n$ ls\n"
    assert commands(code) == [("molexp run a.py", code.partition("\n")[2].removesuffix("$ ls\n")), ("ls", "")]
    expected = commands(code)[0][1]
    assert matches(expected, "molexp: p/e/1 succeeded in 0.1 s\n1 succeeded\n")
    assert matches(expected, "molexp: p/e/1 succeeded in 0.1 s\nmore\nand more\n1 succeeded\n")
    assert not matches(expected, "molexp: p/e/1 failed in 0.1 s\n1 succeeded\n")
    assert not matches(expected, "molexp: p/e/1 succeeded in 0.1 s\n")
    assert matches("", "anything")
