"""A chain of runs and assets, and lineages as plain values, for the tests of lineages."""

from __future__ import annotations

REFERENCE = "metals/cu:data:reference@1"
RELAXED = "metals/cu/relax#1:artifact:relaxed.json@1"
MODEL = "metals/cu/fit#1:artifact:model.json@1"
FIGURE = "metals/cu/plot#1:artifact:figure.json@1"


def make_chain(exp, source):
    """Imported data -> relax -> relaxed.json -> fit -> model.json -> plot -> figure.json; returns the workspace."""
    source.write_text("[1]")
    exp.data_assets.import_asset("reference", source)
    step(exp, "relax", [REFERENCE], "relaxed.json")
    step(exp, "fit", [REFERENCE, RELAXED], "model.json")
    step(exp, "plot", [MODEL], "figure.json")
    return exp.project.workspace


def step(exp, name, uses, makes):
    """An attempt at a run that uses some assets and makes another."""
    ws = exp.project.workspace
    with exp.Run(id=name).start() as ctx:
        for asset in uses:
            ws.asset(asset).open().close()
        return ctx.artifact.save(makes, {"by": name, "from": uses})


def tree(nodes):
    """A tree of ids, with a mark at those that stand elsewhere."""
    return {node.id + ("^" if node.repeated else ""): tree(node.children) for node in nodes}


def edges(lineage):
    return {(edge.source, edge.how, edge.target) for edge in lineage.edges()}
