"""Two users with different umasks at one workspace, and a hostile third: nothing but what the page on security allows."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

from tests.repository import is_open_to_others

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux"),
    pytest.mark.skipif(not is_open_to_others(), reason="other users cannot read the folder that the tests run in"),
]


@pytest.mark.parametrize("umasks", [("002", "002"), ("022", "022"), ("002", "077")], ids="-".join)
def test_two_share_and_a_third_gets_nothing(stage, umasks):
    told = stage.start("users", *umasks).rest()
    ends, steps = told[-1], told[:-1]
    shares, hides = umasks[0] == "002", umasks[1] == "077"
    for step in steps:
        assert "Traceback" not in step["err"], step
        assert step["code"] != 70, step

    def of(who: str, did: str) -> list[dict[str, Any]]:
        return [step for step in steps if step["who"] == who and step["did"].startswith(did)]

    tracked = {step["did"]: step["code"] for step in steps if step["did"][1:2].isdigit()}
    refused = 0 if shares else 1
    assert tracked == {"a1 a2": 0, "b1 b2": refused, "m1": 1, "a3": 0, "b3": refused}
    anns, bens = {"a1", "a2"}, {"b1", "b2"} if shares else set()
    for who in ("ann", "ben", "mal"):
        for listing, mine in zip(
            of(who, "runs list"), ((anns, bens), (anns | {"a3"}, bens | ({"b3"} if shares else set()))), strict=True
        ):
            found = {row["id"] for row in json.loads(listing["out"])}
            hidden = mine[1] if hides and who != "ben" else set()
            assert found == set().union(*mine) - hidden, (who, listing)
            assert bool(hidden) == ("could not be read" in listing["err"]), (who, listing["err"])
    for who in ("ann", "ben"):
        (private,) = of(who, "everything_private") or of(who, str(stage.folder / "machine" / who))
        assert private["code"] == 0, private
    assert ends == {"made_by_mal": [], "leaked": []}
