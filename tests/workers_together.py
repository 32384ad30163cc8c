"""What each of two workers does in tests/test_workers.py; it writes what it found to OUT/<index>.json.

Run by that test, twice at a time: python workers_together.py OUT
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from svgp import workers
from svgp.errors import RunError
from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian, Poisson
from svgp.means import Constant
from svgp.models import SVGP
from svgp.models.collapsed.bound import CollapsedBound
from svgp.models.neighbours.evidence import NeighbourEvidence
from svgp.rows import ArrayRows
from svgp.stopping import StopAsked
from svgp.training import make_method

STEPS = 7  # an epoch is five, the last one of four rows: one epoch and a bit


def config(**more):
    return SimpleNamespace(
        **{
            "method": "adam", "batch_size": 40, "learning_rate": 0.05, "seed": 3, "evaluate_every": 1.0,
            "max_seconds": None, "max_steps": None, "max_epochs": 100, "subset_rows": None, **more,
        }
    )  # fmt: skip


def data():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2.0, 2.0, size=(164, 2))
    return X, np.sin(2.0 * X[:, :1]) + 0.1 * rng.normal(size=(164, 1))


def model(likelihood=None, bound="standard", **options):
    X, _ = data()
    mean = Constant(0.2)
    return SVGP(
        Matern32(1.3, [0.7, 1.9]), likelihood or Gaussian(0.05), X[:9], num_data=164, mean=mean, bound=bound,
        **options,
    )  # fmt: skip


def after_steps(name, batch_size, **options):
    """All variables after some steps of a minibatch method on counts."""
    X, Y = data()
    wanted = config(method=name, batch_size=batch_size)
    method = make_method(model(Poisson(), **options), X, np.round(np.exp(Y)), wanted)
    records = [method.advance() for _ in range(STEPS)]
    method.publish()
    flat = [np.asarray(v).ravel() for v in method.model.variables]
    return {"variables": np.concatenate(flat).tolist(), "elbo": float(records[-1].values()[0])}


def after_collapsed(bound):
    """The bound and its gradient, and where L-BFGS gets to."""
    X, Y = data()
    group = workers.present()
    found = CollapsedBound(model(bound=bound), ArrayRows(X, Y), workers=group).evaluate()
    method = make_method(model(bound=bound), X, Y, config(method="collapsed"))
    records = [method.advance() for _ in range(3)]
    return {
        "bound": found.bound,
        "gradient": np.concatenate([g.ravel() for g in found.gradients]).tolist(),
        "elbo": float(records[-1].values()[0]),
    }


def with_neighbours():
    """The evidence with neighbours and its gradient."""
    found = NeighbourEvidence(model(), *data(), count=5, group=workers.present()).evaluate()
    return {
        "bound": found.evidence,
        "gradient": np.concatenate([g.ravel() for g in found.gradients]).tolist(),
    }


def differing(group):
    """What is said where the workers are not alike."""
    try:
        group.require_same("starting values", bytes([group.index]))
    except RunError as error:
        return str(error)
    return ""


def stopped_together(group):
    """What a stop asked of one of them does to a step of all, whether all heard of it, and the next step."""
    X, Y = data()
    method = make_method(model(), X, Y, config(method="collapsed"))
    method.advance()
    group.stop.listen()
    if group.index == 1:
        group.stop.ask()
    try:
        method.advance()
        ended = "done"
    except StopAsked:
        ended = "asked"
    began = time.monotonic()
    while not group.stop.asked and time.monotonic() - began < 60.0:
        time.sleep(0.1)
    heard = group.stop.asked
    group.stop.listen()
    return {"ended": ended, "heard": heard, "elbo": float(method.advance().values()[0])}


def training(count):
    """What is the same for any number of workers that see 40 rows a step together."""
    return {
        "adam": after_steps("adam", 40 // count),
        # The tight bound has a term of the whole data set, the standard one has none.
        "natgrad": after_steps("natgrad", 40 // count, bound="tight"),
        "natgrad, diagonal": after_steps("natgrad", 40 // count, q_diag=True),
        "collapsed": {bound: after_collapsed(bound) for bound in ("standard", "tight")},
        "evidence": with_neighbours(),
    }


def main(out: Path) -> None:
    with workers.joined() as group:
        found = {
            "count": group.count,
            **training(group.count),
            "clock": group.agree(float(group.index + 5)),
            "any": [group.any(group.index == 1), group.any(False)],
            "sent": group.broadcast(b"from the chief" if group.chief else b"").decode(),
            "differing": differing(group),
            "told": group.describe(1e-3),
            "stopped": stopped_together(group),
        }
        (out / f"{group.index}.json").write_text(json.dumps(found))
    if group.index == 1:
        group.agree(0.0)  # the chief has read its results
        time.sleep(2.0)  # until the chief has its answer as well: else it is this message that fails there
        os._exit(9)  # as if it had been killed
    group.agree(0.0)
    began = time.monotonic()
    try:
        with workers.joined():
            while True:
                group.agree(0.0)
    except RunError as error:
        lost = {"message": str(error), "seconds": time.monotonic() - began}
        (out / "lost.json").write_text(json.dumps(lost))
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
