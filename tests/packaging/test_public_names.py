"""Every public name has the signature that it had, or a reason why not."""

from __future__ import annotations

import re

from tests.packaging.public_names import lines
from tests.repository import ROOT

LISTED = ROOT / "tests" / "packaging" / "public_names.txt"
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
HEADING = re.compile(r"^\[(as of \w+|removed|changed|added)(?:: (.+))?\]$")


def sections():
    """Each section of the list: whether its lines are as they were, removed, changed or added; the reason; the lines."""
    found: list[tuple[str, str, list[str]]] = []
    for line in LISTED.read_text(encoding="utf-8").splitlines():
        if heading := HEADING.match(line):
            found.append((heading[1], heading[2], []))
        elif line and not line.startswith("#"):
            found[-1][2].append(line)
    return found


def those(*kinds):
    return {line for kind, _, some in sections() for line in some if kind.split()[0] in kinds}


def name_of(line):
    return re.split(r"[(: ]", line.removeprefix("class "), maxsplit=1)[0]


def test_public_names_and_signatures_are_as_they_were():
    before, gone = those("as"), those("removed")
    changed = those("changed")
    expected = {line for line in before - gone if name_of(line) not in {name_of(one) for one in changed}}
    expected |= changed | those("added")
    today = set(lines())
    lost, new = sorted(expected - today), sorted(today - expected)
    assert (lost, new) == ([], []), f"list them in {LISTED.name}, with a reason"


def test_the_list_says_why_each_name_is_gone_or_new():
    before = those("as")
    assert all(reason for kind, reason, _ in sections() if not kind.startswith("as"))
    assert those("removed") <= before
    assert not those("added", "changed") & before
    assert {name_of(line) for line in those("changed")} <= {name_of(line) for line in before}


def test_the_changelog_names_what_was_removed():
    names = {name_of(line) for line in those("removed")}
    whole = {name for name in names if name.rpartition(".")[0] not in names}  # not the members of a class that is gone
    code = " ".join(re.findall(r"`[^`]+`", CHANGELOG))
    assert not [name for name in sorted(whole) if not re.search(rf"\b{name.rpartition('.')[2]}\b", code)]
