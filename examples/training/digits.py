"""An ordinary training loop, tracked: a linear classifier for handwritten digits, over a grid with replicas.

    python examples/training/digits.py

Each point of the grid is trained twice, with seeds that follow from its parameters and the replica's index, so that they
are the same on every machine. There is no workflow: `run.start()` goes around the loop that one would write anyway. Stop it
with Ctrl-C and call it again: what has been trained is not trained again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

import molexp as me

SPACE = me.grid(learning_rate=[1e-4, 1e-3, 1e-2], alpha=[1e-4, 1e-1])  # every combination: six points
REPLICAS = 2


def split() -> Any:
    """Return features and labels for training, for validation, and for the test at the very end."""
    x, y = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x / 16, y, test_size=300, random_state=0)
    x_train, x_valid, y_train, y_valid = train_test_split(x, y, test_size=300, random_state=0)
    return x_train, y_train, x_valid, y_valid, x_test, y_test


def train(ctx: me.RunContext, data: Any) -> None:
    """Train a model. MolExp adds only a `ctx`, to read settings from and to record into."""
    x, y, x_valid, y_valid, *_ = data
    rng = np.random.default_rng(ctx.seed)  # this replica's own
    rate, alpha = ctx.params["learning_rate"], ctx.params["alpha"]
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=rate, alpha=alpha, shuffle=False)
    best = 0.0
    for epoch in range(ctx.params["epochs"]):
        order = rng.permutation(len(x))
        model.partial_fit(x[order], y[order], classes=range(10))
        accuracy = float(model.score(x_valid, y_valid))
        ctx.metrics.log(step=epoch, accuracy=accuracy)
        if accuracy > best:  # one checkpoint, replaced as the model gets better
            best = accuracy
            with ctx.checkpoint.writing("best.npz", step=epoch) as path:
                np.savez(path, weights=model.coef_, bias=model.intercept_)
    ctx.set_result("accuracy", best)


def main() -> None:
    """Train what was not trained yet, then take the best of all."""
    ws = me.Workspace("lab")
    exp = ws.Project("digits").Experiment("linear", params={"epochs": 10}, space=SPACE, replicas=REPLICAS)
    data = split()

    trained = 0
    for run in exp.runs.create_many(SPACE, replicas=REPLICAS):  # the same runs each time
        try:
            with run.start(if_succeeded="error") as ctx:
                train(ctx, data)
            trained += 1
        except me.RunFinishedError:
            pass
    print(f"{trained} of {len(SPACE) * REPLICAS} runs trained in this call; the others were on record")

    rows = ws.catalog.runs(experiment="linear", status="succeeded", sort="-results.accuracy")
    for row in rows:
        print(f"{row.id}  {dict(row.params)}  replica {row.replica}: {row.results['accuracy']:.3f}")

    # The best one's model, from its checkpoint, on digits that nothing was chosen by.
    best = ws.run(rows[0].path)
    curve = [point["accuracy"] for point in best.asset("metrics").load()]
    model = np.load(best.asset("best.npz").path)
    x_test, y_test = data[-2:]
    accuracy = np.mean((x_test @ model["weights"].T + model["bias"]).argmax(axis=1) == y_test)
    print(f"\nbest: {best.id}, from {curve[0]:.3f} to {max(curve):.3f} in {len(curve)} epochs")
    print(f"accuracy on the test set: {accuracy:.3f}")


if __name__ == "__main__":
    main()
