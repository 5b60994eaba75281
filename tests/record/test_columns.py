"""A column of runs is written down once: what is added to that table is indexed, queried, sorted by and compared."""

import subprocess
import sys

PROGRAM = """
import sys
from molexp._catalog.index import columns

columns.COLUMNS += (columns.Column("tag_count", "integer", lambda run, _: len(run.get("tags") or ())),)

import molexp as me

ws = me.Workspace(sys.argv[1])
exp = ws.Project("p").Experiment("e")
for tags in ([], ["a", "b"], ["a"]):
    with exp.Run({"wanted": len(tags)}, id=f"with-{len(tags)}").start() as ctx:
        ctx.set_result("twice", 2 * len(tags))
    ctx.run.annotate(tags=tags)

def found(*query, **options):
    print(*(row.id for row in ws.catalog.runs(*query, **options)))

found("tag_count >= 1", sort="-tag_count")
found("tag_count == params.wanted and tag_count != 1", sort="id")
found("tag_count like '%'")
ws.run("p/e/with-1").annotate(tags=["c"])
found("tag_count == 2", sort="id")
print(*(row["tag_count"] for row in ws.compare("p/e/with-0", "p/e/with-2")))
print(ws.catalog.verify().findings)
"""


def test_a_column_that_is_added_to_the_table_is_indexed_queried_and_shown(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "lab")],
        env={"MOLEXP_CACHE_DIR": str(tmp_path / "cache"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["with-2 with-1", "with-0 with-2", "", "with-1 with-2", "0 2", "()"]
