"""Quick start: track a calculation, then ask for what was tracked.

    python examples/getting_started/01_quick_start.py

Monte Carlo estimates of pi. Everything lands in the folder ``lab``, as plain files.
"""

import random

import molexp as me

ws = me.Workspace("lab")  # opens nothing and writes nothing yet
exp = ws.Project("getting-started").Experiment("pi", params={"points": 10_000})

# One run per seed. Each call of the script adds three: a run without an id is always a new one.
for seed in (1, 2, 3):
    with exp.Run({"seed": seed}).start() as ctx:
        rng, inside, points = random.Random(ctx.params["seed"]), 0, ctx.params["points"]
        for n in range(1, points + 1):
            inside += rng.random() ** 2 + rng.random() ** 2 < 1
            if n % 1000 == 0:
                ctx.metrics.log(step=n, pi=4 * inside / n)  # numbers by step
        ctx.set_result("pi", 4 * inside / points)  # a value to search and sort by
        ctx.artifact.save("counts.json", {"inside": inside, "points": points})  # a file

# The catalog finds runs of any session, on any machine that sees the folder.
for row in ws.catalog.runs(experiment="pi", status="succeeded", sort="results.pi"):
    print(f"{row.path}  seed {row.params['seed']}: pi = {row.results['pi']}")
