"""`model.inducing.replace_redundant` in a run: what is logged, and that resuming changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

import svgp
from svgp.config import Config
from svgp.errors import Interrupted
from svgp.models import model_state

from .test_resume import Killer, untimed

pytestmark = pytest.mark.usefixtures("no_plots", "published_without_graphs", "steps_without_graphs")


@pytest.fixture(scope="module")
def config(make_config):
    """Twelve random points on what is nearly a line: some are close to each other."""

    def make(**train):
        tree = make_config(max_epochs=4, log_every=4, **train).to_dict()
        tree["model"]["inducing"] = {"count": 12, "init": "random", "replace_redundant": True}
        tree["model"]["kernel"] = {"type": "matern32", "lengthscales": [0.5, 1e6, 1e6, 1e6]}
        return Config.from_dict(tree)

    return make


@pytest.mark.parametrize("method", ["adam", "natgrad", "collapsed"])
def test_it_is_counted_everywhere_and_resumed_exactly(config, tmp_path, method, monkeypatch):
    monkeypatch.setattr("svgp.models.replacement.redundancy_threshold", lambda Kuu, noise: 0.1)
    monkeypatch.setattr("svgp.models.replacement.WORTH", 1.2)
    straight = svgp.train(config(method=method), run_dir=tmp_path / "straight")
    counts = [row["replaced"] for row in straight.history()]
    assert counts == sorted(counts) and counts[-1] > 0 and counts[-1] == straight.metrics["replaced"]
    assert [row["replaced"] for row in straight.inducing_history()][0] == 0
    assert straight.inducing_history()[-1]["replaced"] == straight.metrics["replaced"]
    assert any("re-placed" in note for note in straight.metrics["notes"])
    assert "Re-placed" in (straight.path / "report.html").read_text()
    middle = 2 if method == "collapsed" else 6
    with pytest.raises(Interrupted):
        svgp.train(config(method=method), run_dir=tmp_path / "run", progress=Killer(middle))
    resumed = svgp.train(resume=tmp_path / "run")
    assert untimed(straight.history()) == untimed(resumed.history())
    assert straight.inducing_history() == resumed.inducing_history()
    assert straight.metrics["replaced"] == resumed.metrics["replaced"]
    ours, theirs = model_state(straight.model), model_state(resumed.model)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
