"""Who does the products, and where the choice holds."""

from __future__ import annotations

import threading

import pytest
import tensorflow as tf

from svgp.errors import ModelError
from svgp.linalg import backend, factorise
from svgp.linalg.backend import use_host

X = tf.eye(3, dtype=tf.float64)


def operations(name):
    with backend(name):
        function = tf.function(lambda K: factorise(K).L, autograph=False).get_concrete_function(
            tf.TensorSpec([3, 3], tf.float64)
        )
    return {node.op for node in function.graph.as_graph_def().node}


def test_host_and_tensorflow_trace_different_graphs():
    assert "PyFunc" in operations("host") and "Cholesky" not in operations("host")
    assert not {"PyFunc", "EagerPyFunc"} & operations("tensorflow")


def test_auto_is_the_host_on_a_processor():
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    assert use_host(X) is not on_gpu
    with tf.device("CPU:0"):
        assert use_host(tf.identity(X))


@pytest.mark.parametrize("dtype", [tf.complex128, tf.float16, tf.int32])
def test_only_single_and_double_reals_go_to_the_host(dtype):
    with backend("host"):
        assert not use_host(tf.zeros([2, 2], dtype))


def test_scopes_nest_and_end():
    before = use_host(X)
    with backend("tensorflow"):
        assert not use_host(X)
        with backend("host"):
            assert use_host(X)
        assert not use_host(X)
    assert use_host(X) == before
    with pytest.raises(ValueError), backend("tensorflow"):
        raise ValueError
    assert use_host(X) == before


def test_a_choice_stays_in_its_thread():
    seen = []
    with backend("tensorflow"):
        thread = threading.Thread(target=lambda: seen.append(use_host(X)))
        thread.start()
        thread.join()
    assert seen == [use_host(X)]


def test_an_unknown_name_is_refused():
    with pytest.raises(ModelError, match="'cuda': expected one of auto, host, tensorflow"), backend("cuda"):
        pass
