"""What `diagnose` says of a run: a bound that holds, an estimate below it, honesty where there is none."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import svgp
from svgp import files
from svgp.config import Config
from svgp.errors import RunError
from svgp.models import SVGP
from svgp.models.outlook import best_bound, full_posterior_model, outlook
from svgp.runs import diagnose, diagnosis
from svgp.runs.diagnosis import advice_setup


@pytest.fixture(scope="module")
def regression(regression, tmp_path_factory):
    """A copy: diagnose writes into the folder."""
    folder = tmp_path_factory.mktemp("diagnosed") / "run"
    shutil.copytree(regression.path, folder)
    return svgp.load_run(folder)


@pytest.fixture(scope="module")
def found(regression):
    return diagnose(regression)


def exact_evidence(model, X, Y):
    K = model.kernel.K(X).numpy() + float(np.ravel(model.likelihood.variance)[0]) * np.eye(len(X))
    return -0.5 * (Y.T @ np.linalg.solve(K, Y)).item() - 0.5 * np.linalg.slogdet(2 * np.pi * K)[1]


def test_the_certificate_holds_and_the_estimate_keeps_below_it(regression, found):
    dataset, proof, further = regression.dataset, found["certificate"], found["outlook"]
    exact = exact_evidence(regression.model, dataset.X, dataset.Y)
    assert proof["elbo"] <= exact <= proof["upper"]
    assert proof["left_in_q"] * 48 == pytest.approx(
        proof["elbo"] - regression.metrics["train.elbo"], rel=1e-6
    )
    assert further["count"] == 16 and further["rows"] == 48
    assert 0.0 < further["gain_per_row"] <= proof["gap_per_row"] + 1e-9
    assert further["residual_after"] < further["residual_before"]


def test_it_speaks_in_sentences(found):
    text = "\n".join(found["sentences"])
    assert set(found["inducing"]["advice"]) <= set(found["sentences"])
    assert "nats per row are left to gain from more inducing points at these hyperparameters" in text
    assert "q(u) misses its optimum by" in text  # nine steps of Adam
    assert "16 points would gain about" in text


def test_it_is_kept_in_the_run_folder(regression, found):
    kept = files.read_json(regression.path / "diagnose.json")
    assert kept["sentences"] == found["sentences"]
    assert kept["certificate"]["upper"] == found["certificate"]["upper"]


def test_another_likelihood_says_what_cannot_be_said(make_config, tmp_path, no_plots):
    run = svgp.train(make_config("count", max_epochs=1), run_dir=tmp_path / "run")
    found = diagnose(run)
    assert found["certificate"] is None and found["outlook"]["gain_per_row"] is None
    text = "\n".join(found["sentences"])
    assert "not bounded: for a Poisson likelihood" in text
    assert "of the prior variance would stay unexplained, now" in text and "nats per row" not in text


def test_a_diagonal_posterior_has_a_certificate_too(make_config, tmp_path, no_plots):
    values = make_config(max_steps=2).to_dict()
    values["model"]["posterior"]["type"] = "diagonal"
    run = svgp.train(Config.from_dict(values), run_dir=tmp_path / "run")
    proof = diagnose(run)["certificate"]
    assert proof["elbo"] > run.metrics["train.elbo"] and proof["left_in_q"] > 0


def test_single_precision_has_none(make_config, tmp_path, no_plots):
    run = svgp.train(make_config(max_steps=2, precision="float32"), run_dir=tmp_path / "run")
    found = diagnose(run)
    assert found["certificate"] is None
    assert any("needs train.precision=float64" in sentence for sentence in found["sentences"])


@pytest.mark.parametrize(
    ("train", "iterative"),
    [
        ({"method": "adam"}, False),
        ({"method": "collapsed"}, True),
        ({"method": "auto"}, True),
        ({"method": "natgrad", "batch_size": 16}, False),
        ({"method": "natgrad", "batch_size": 64}, True),  # all 48 rows in a batch: L-BFGS
        ({"method": "natgrad", "batch_size": 64, "learning_rate": 0.1}, False),
    ],
)
def test_advice_knows_which_methods_have_a_learning_rate(regression, make_config, train, iterative):
    setup = advice_setup(make_config(**train), regression.model, 48)
    assert setup.iterative is iterative
    assert setup.rows == 48 and setup.init == "kmeans" and setup.trainable


def test_data_that_moved_or_changed_are_named(on_a_table_of_its_own, tmp_path):
    table = on_a_table_of_its_own(tmp_path / "run")
    assert diagnose(tmp_path / "run")["sentences"]
    table.write_text(table.read_text().replace("red", "blue"))
    with pytest.raises(RunError, match="data have changed"):
        diagnose(tmp_path / "run")
    table.unlink()
    with pytest.raises(RunError, match=r"needs the rows that the run was trained on.*run\.csv"):
        diagnose(tmp_path / "run")


def test_a_singular_kuu_has_no_outlook(regression, monkeypatch):
    def fail(*arguments, **options):
        raise np.linalg.LinAlgError("not positive definite")

    monkeypatch.setattr(diagnosis, "outlook", fail)
    found, said = diagnosis._outlook(regression.model, np.zeros((9, 4)), np.zeros((9, 1)), 0)
    assert found is None and "nearly singular" in said


def test_an_outlook_from_some_of_the_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 2))
    Y = np.sin(3 * X[:, :1]) + 0.1 * rng.normal(size=(900, 1))
    model = SVGP(svgp.kernels.Matern32(1.0, [0.5, 2.0]), svgp.likelihoods.Gaussian(0.1), X[:30], num_data=900)
    whole, part = outlook(model, X, Y, 30), outlook(model, X, Y, 30, operations=1.0)
    assert (whole.rows, part.rows) == (900, 480)
    assert part.gain_per_row == pytest.approx(whole.gain_per_row, rel=0.5)
    # Between the bound with these points and the bound with a point at every row.
    few, all_rows = (best_bound(full_posterior_model(model, Z), X, Y) / 900 for Z in (X[:30], X))
    assert 0.0 < whole.gain_per_row < all_rows - few
