"""Small tables, and runs on them that several tests look at."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from svgp.config import Config


@pytest.fixture(scope="session", autouse=True)
def measured_once() -> Iterator[None]:
    """Forecasts of runs measure the machine anew each time, a tenth of a second: here once is enough."""
    from svgp.runs import forecast

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecast, "machine", functools.cache(forecast.machine))
        yield


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """CSV files of 60 rows: a smooth target in large units, two classes, counts."""
    folder = tmp_path_factory.mktemp("tables")
    generator = np.random.default_rng(5)
    x, z = generator.uniform(-2, 2, 60), generator.uniform(100, 300, 60)
    colour = np.array(["red", "green"])[generator.integers(0, 2, 60)]
    y = 5000.0 + 900.0 * np.sin(2 * x) + 200.0 * (colour == "red") + 20.0 * generator.normal(size=60)
    columns = {
        "regression": {"x": x, "z": z, "colour": colour, "id": np.arange(60), "y": y},
        "binary": {"x": x, "z": z, "y": np.where(x + 0.01 * (z - 200) > 0, "yes", "no")},
        "count": {"x": x, "y": generator.poisson(np.exp(1 + 0.5 * x))},
    }
    paths = {name: folder / f"{name}.csv" for name in columns}
    for name, path in paths.items():
        pyarrow.csv.write_csv(pa.table(columns[name]), path)
    return paths


@pytest.fixture(scope="session")
def make_config(tables: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function of a table's name and train settings: a config of a few short steps."""
    likelihoods = {"regression": "gaussian", "binary": "bernoulli", "count": "poisson"}
    output = tmp_path_factory.mktemp("output")

    def make(name: str = "regression", **train: Any) -> Config:
        inputs = {"regression": ["x", "z", "colour"], "binary": ["x", "z"], "count": ["x"]}[name]
        settings = {"batch_size": 16, "max_epochs": 2, "log_every": 3, "method": "adam", "seed": 4, **train}
        return Config.from_dict(
            {
                "name": name,
                "data": {
                    "path": str(tables[name]),
                    "target": "y",
                    "inputs": inputs,
                    "categorical": ["colour"] if name == "regression" else [],
                    "test": {"fraction": 0.2},
                },
                "model": {
                    "likelihood": {"type": likelihoods[name]},
                    "inducing": {"count": 8},
                    # Tests of neighbours ask for them (test_predictive): all others are quicker without.
                    "neighbours": {"count": 0},
                },
                "train": settings,
                "output": {"dir": str(output)},
            }
        )

    return make


@pytest.fixture(scope="module")
def steps_without_graphs() -> Iterator[None]:
    """Adam and natural gradients in batches take their steps as they are: quicker for runs of a dozen steps.

    The runs of test_run, test_launch and test_resume go by graphs.
    """
    from svgp.training.compilation import CompiledStep

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CompiledStep, "_make", lambda step, xla: step._function)
        yield


@pytest.fixture(scope="session")
def regression(make_config: Any) -> Any:
    """A finished regression run: 48 training rows in batches of 16, so 3 steps an epoch."""
    import svgp

    return svgp.train(make_config("regression", max_epochs=3))


@pytest.fixture
def on_a_table_of_its_own(regression: Any, tables: dict[str, Path]) -> Callable[[Path], Path]:
    """A function that makes a folder of a copy of the run, as if trained on the table that it returns."""

    def copy(folder: Path) -> Path:
        table = folder.with_suffix(".csv")
        shutil.copy(tables["regression"], table)
        shutil.copytree(regression.path, folder)
        config = folder / "config.yaml"
        text = config.read_text()
        assert str(tables["regression"]) in text
        config.write_text(text.replace(str(tables["regression"]), str(table)))
        return table

    return copy
