"""Four workers on loopback find what one finds, notice when they are not alike, and when one is lost."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from svgp.cli.launch import start, wait
from svgp.workers import Workers, joined

sys.path.insert(0, str(Path(__file__).parent))
import workers_together  # noqa: E402


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of four workers wrote, what this process finds meanwhile, and how the four ended."""
    out = tmp_path_factory.mktemp("four")
    four = start(4, [sys.executable, workers_together.__file__, str(out)])
    alone = workers_together.training(1)
    code = wait(four)
    return {
        **{path.stem: json.loads(path.read_text()) for path in out.iterdir()},
        "alone": alone,
        "code": code,
    }


@pytest.mark.parametrize("method", ["adam", "natgrad", "natgrad, diagonal"])
def test_a_batch_shared_by_four_workers_is_that_batch(found, method):
    for index in "0123":
        assert found[index]["count"] == 4
        for name in ("variables", "elbo"):
            own, whole = found[index][method][name], found["alone"][method][name]
            np.testing.assert_allclose(own, whole, rtol=1e-8, atol=1e-12)
    assert all(found[index][method] == found["0"][method] for index in "123")  # to the last bit


@pytest.mark.parametrize("bound", ["standard", "tight"])
def test_the_collapsed_bound_of_four_shards_is_that_of_all_rows(found, bound):
    for index in "0123":
        own, whole = found[index]["collapsed"][bound], found["alone"]["collapsed"][bound]
        np.testing.assert_allclose(own["bound"], whole["bound"], rtol=1e-11)
        np.testing.assert_allclose(own["gradient"], whole["gradient"], rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(own["elbo"], whole["elbo"], rtol=1e-8)
    assert all(found[index]["collapsed"] == found["0"]["collapsed"] for index in "123")


def test_the_evidence_with_neighbours_of_four_workers_is_that_of_all_rows(found):
    for index in "0123":
        own, whole = found[index]["evidence"], found["alone"]["evidence"]
        np.testing.assert_allclose(own["bound"], whole["bound"], rtol=1e-11)
        np.testing.assert_allclose(own["gradient"], whole["gradient"], rtol=1e-8, atol=1e-8)


def test_workers_agree(found):
    for index in "0123":
        assert found[index]["clock"] == 5.0 and found[index]["any"] == [True, False]
        assert found[index]["sent"] == "from the chief"
        assert "differ in their starting values" in found[index]["differing"]
        assert "4 workers: " in found[index]["told"][0] and "100%" in found[index]["told"][0]


def test_a_stop_that_one_is_asked_for_ends_the_pass_of_all_and_the_next_one_is_whole(found):
    for index in "0123":
        assert found[index]["stopped"]["ended"] == "asked" and found[index]["stopped"]["heard"]
    assert all(found[index]["stopped"] == found["0"]["stopped"] for index in "123")
    X, Y = workers_together.data()
    settings = workers_together.config(method="collapsed")
    method = workers_together.make_method(workers_together.model(), X, Y, settings)
    records = [method.advance() for _ in range(2)]
    assert found["0"]["stopped"]["elbo"] == pytest.approx(float(records[-1].values()[0]), rel=1e-8)


def test_a_worker_that_is_lost_ends_the_others_with_a_message(found):
    assert "another worker of this run has stopped" in found["lost"]["message"]
    assert "--resume" in found["lost"]["message"]
    assert found["lost"]["seconds"] < 60.0
    assert found["code"] in (1, 9)  # what the chief or the lost one ended with


def test_a_process_alone_sums_what_it_has(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with joined() as group:
        assert group.alone and group.chief and group.shard == (0, 1)
    assert Workers().sum([np.ones(2)])[0].tolist() == [1.0, 1.0]
    assert Workers().describe(1.0) == []
    assert Workers().agree(3.0) == 3.0 and Workers().broadcast(b"x") == b"x"
