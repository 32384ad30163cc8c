"""Two devices of one process find what one finds; here a processor that is two."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from svgp.replicas import Replicas, replicas

SCRIPT = Path(__file__).parent / "replicas_together.py"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    out = tmp_path_factory.mktemp("replicas") / "found.json"
    done = subprocess.run([sys.executable, str(SCRIPT), str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


@pytest.mark.parametrize("what", ["adam", "natgrad", "natgrad, diagonal", "collapsed", "evidence"])
def test_b_rows_on_each_of_two_devices_are_one_batch_of_2b(found, what):
    two, one = found["two"][what], found["one"][what]
    np.testing.assert_allclose(two["found"], one["found"], rtol=1e-10, atol=1e-11)
    assert {"CPU:0", "CPU:1"} <= set(two["places"]) and "CPU:1" not in one["places"]


def test_a_device_alone_does_what_there_is_to_do():
    alone = Replicas()
    assert alone.alone and alone.count == 1 and replicas().alone
    assert alone.each(lambda number: number + 5) == [5]
    x = tf.ones([3, 2])
    [(rows, counts)] = alone.rows(x)
    assert rows is x and counts == 1.0 and alone.sum([[x]])[0] is x
