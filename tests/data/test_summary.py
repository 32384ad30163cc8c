"""What stands out in a data set: each finding appears where it should, and not where it should not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svgp.config import Config
from svgp.data import load_dataset
from svgp.data.summary import Summary, summarise

RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal((200, 3))


def summary_of(
    folder: Path, likelihood: str = "gaussian", categorical: tuple[str, ...] = (), **columns
) -> Summary:
    names = list(columns)
    rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    (folder / "t.csv").write_text("\n".join([",".join(names), *rows]) + "\n", encoding="utf-8")
    config = Config.from_dict(
        {
            "data": {
                "path": folder / "t.csv",
                "target": names[-1],
                "test": None,
                "categorical": list(categorical),
            },
            "model": {"likelihood": {"type": likelihood}},
        }
    )
    return summarise(load_dataset(config.data, config.model.likelihood.task))


def test_ordinary_data_have_no_findings(tmp_path):
    summary = summary_of(tmp_path, a=NORMAL[:, 0], b=NORMAL[:, 1], y=NORMAL[:, 2])
    assert summary.findings == []
    assert (summary.rows, summary.test_rows, summary.inputs) == (200, 0, 2)


def test_columns_are_in_original_units(tmp_path):
    colours = ["red", "blue", "green", "blue"] * 50
    summary = summary_of(
        tmp_path, categorical=("c",), a=100 + 5 * NORMAL[:, 0], c=colours, y=1e6 + 3 * NORMAL[:, 1]
    )
    a, c, y = summary.columns
    assert a.mean == pytest.approx(np.mean(100 + 5 * NORMAL[:, 0]), rel=1e-12)
    assert a.std == pytest.approx(np.std(5 * NORMAL[:, 0]), rel=1e-9)
    assert (c.levels, c.mean) == (3, None)
    assert y.role == "target" and y.high == pytest.approx(np.max(1e6 + 3 * NORMAL[:, 1]), rel=1e-12)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"a": np.ones(200)}, "'a': constant"),
        ({"y": np.exp(1.2 * NORMAL[:, 2])}, "try data.target_transform=log"),
        ({"y": np.sinh(2.5 * NORMAL[:, 2])}, "try data.target_transform=quantile"),
        ({"b": -(NORMAL[:, 2] ** 3)}, "input 'b' falls with target 'y' in every row"),
        ({"b": 3 * NORMAL[:, 0] - 1}, "inputs 'a' and 'b' are the same up to scale"),
        ({"b": -NORMAL[:, 2]}, "input 'b' is the target up to scale"),
        ({"b": np.arange(200)}, "input 'b' rises from row to row like a row number"),
        ({"b": np.where(np.arange(200) == 7, 36, NORMAL[:, 1])}, "input 'b': 1 row further than 30"),
        ({"y": np.where(np.arange(200) < 2, -1e4, NORMAL[:, 2])}, "target 'y': 2 rows further than 30"),
        ({"b": np.where(np.arange(200) == 7, 36, NORMAL[:, 1])}, "up to 36; an error? Clip"),
        ({"b": np.where(np.arange(200) == 7, 1e4, NORMAL[:, 1])}, "input 'b': values far outside the rest"),
        (
            {"b": np.where(np.arange(200) == 7, 35, NORMAL[:, 1] ** 2)},
            "35; an error, or a case for its log",
        ),
        (
            {"b": np.where(np.arange(200) % 9 == 7, -999, NORMAL[:, 1])},
            "22 rows have -999 there, as if it stood for a missing value: with data.columns={b: {missing:",
        ),
        ({"y": np.exp(3 * NORMAL[:, 2])}, "its logarithm may be easier"),
    ],
)
def test_findings(tmp_path, changed, told):
    summary = summary_of(tmp_path, **{"a": NORMAL[:, 0], "b": NORMAL[:, 1], "y": NORMAL[:, 2], **changed})
    assert any(told in finding for finding in summary.findings), summary.findings


def test_repeated_rows(tmp_path):
    half = NORMAL[np.arange(200) % 100]
    (finding,) = summary_of(tmp_path, a=half[:, 0], b=half[:, 1], y=half[:, 2]).findings
    assert finding.startswith("100 of 200 training rows repeat an earlier row exactly")


def test_class_balance(tmp_path):
    rare = summary_of(tmp_path, "bernoulli", a=NORMAL[:, 0], y=["no"] * 196 + ["yes"] * 4).findings
    assert rare == [
        "target 'y': 2.0% are 'yes', 98.0% 'no'; with a class this rare look at test.nlpd, not at accuracy"
    ]
    even = summary_of(tmp_path, "bernoulli", a=NORMAL[:, 0], y=["no", "yes"] * 100).findings
    assert even == ["target 'y': 50.0% are 'yes', 50.0% 'no'"]


def test_counts_show_their_spread(tmp_path):
    (finding,) = summary_of(tmp_path, "poisson", a=NORMAL[:, 0], y=[0, 0, 0, 8] * 50).findings
    assert finding == "target 'y': mean 2, variance 6 times that, 75.0% zeros"


def test_one_hot_columns_of_a_category_are_no_twins(tmp_path):
    summary = summary_of(tmp_path, categorical=("c",), a=NORMAL[:, 0], c=["u", "v"] * 100, y=NORMAL[:, 1])
    assert summary.findings == []


@pytest.mark.parametrize("transform", ["log", "quantile"])
def test_a_transformed_target_is_not_called_skewed(tmp_path, transform):
    y = np.exp(1.2 * NORMAL[:, 2])
    rows = "".join(f"{a},{b},{c}\n" for (a, b, _), c in zip(NORMAL, y, strict=True))
    (tmp_path / "t.csv").write_text("a,b,y\n" + rows)
    data = {"path": tmp_path / "t.csv", "target": "y", "test": None, "target_transform": transform}
    config = Config.from_dict({"data": data})
    summary = summarise(load_dataset(config.data, "regression"))
    assert not any("target_transform" in finding for finding in summary.findings)


def test_test_rows_from_elsewhere_are_noticed(tmp_path):
    def write(name: str, shift: float) -> Path:
        rows = "".join(f"{a + shift},{b},{c}\n" for a, b, c in NORMAL)
        (tmp_path / name).write_text("a,b,y\n" + rows)
        return tmp_path / name

    data = {"path": write("t.csv", 0.0), "target": "y", "test": {"path": write("u.csv", 1.5)}}
    found = summarise(load_dataset(Config.from_dict({"data": data}).data, "regression")).findings
    assert len([finding for finding in found if "distributed differently" in finding]) == 1
    assert any(finding.startswith("'a' is distributed differently in the test rows") for finding in found)
    data["test"] = {"fraction": 0.4}
    found = summarise(load_dataset(Config.from_dict({"data": data}).data, "regression")).findings
    assert not any("distributed differently" in finding for finding in found)
