"""What two devices of one process do in tests/test_replicas.py; it writes what it found to OUT.

Run by that test, in a process of its own: a processor is made two devices before TensorFlow begins.
python replicas_together.py OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

if __name__ == "__main__":
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)

from workers_together import config, data, model

from svgp import linalg
from svgp.likelihoods import Poisson
from svgp.models.collapsed import CollapsedBound
from svgp.models.neighbours.evidence import NeighbourEvidence
from svgp.replicas import replicas, shared_by
from svgp.training import make_method

STEPS = 6  # an epoch is five, the last one of a single row
ROWS = 161


def after_steps(name, batch_size, **options):
    """All variables after some steps of a minibatch method on counts, and the last bound."""
    X, Y = (x[:ROWS] for x in data())
    settings = config(method=name, batch_size=batch_size)
    method = make_method(model(Poisson(), **options), X, np.round(np.exp(Y)), settings)
    records = [method.advance() for _ in range(STEPS)]
    method.publish()
    flat = np.concatenate([np.asarray(v).ravel() for v in method.model.variables])
    graph = method.compiled_step._graph.get_concrete_function().graph
    return {
        "found": [*flat.tolist(), float(records[-1].values()[0])],
        "places": sorted({place[-5:] for x in graph.get_operations() if (place := x.device)}),
    }


def collapsed():
    """The bound and its gradient, in chunks of 30 rows."""
    bound = CollapsedBound(model(bound="tight"), *data(), chunk=30)
    found = bound.evaluate()
    shares = [sums.total[0].device[-5:] for sums in bound._work._sums]
    return {"found": [found.bound, *np.concatenate([g.ravel() for g in found.gradients])], "places": shares}


def with_neighbours():
    """The evidence and its gradient, in panels of 11 rows."""
    evidence = NeighbourEvidence(model(), *data(), count=4, panel_rows=11)
    found = [evidence.evaluate() for _ in range(2)][1]  # sums do not reach into the next evaluation
    sums, kept = evidence._work.first(evidence._blocks, evidence.X, evidence.Y, lambda: True, keep=True)
    values = [found.evidence, *np.concatenate([g.ravel() for g in found.gradients])]
    return {"found": [*values, sums.rows], "places": [held.A.device[-5:] for held in kept]}


def training(devices):
    """What is the same for any number of devices that see 40 rows a step together."""
    with shared_by(devices), linalg.backend("tensorflow"):
        return {
            "adam": after_steps("adam", 40 // replicas().count),
            # The tight bound has a term of the whole data set.
            "natgrad": after_steps("natgrad", 40 // replicas().count, bound="tight"),
            "natgrad, diagonal": after_steps("natgrad", 40 // replicas().count, q_diag=True),
            "collapsed": collapsed(),
            "evidence": with_neighbours(),
        }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps({"two": training(["CPU:0", "CPU:1"]), "one": training([])}))
