from __future__ import annotations

import runpy
import socket
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit, ndtr

from svgp.data import BUILTIN, iter_dataset, make_dataset, read_table
from svgp.data.builtin import table_fingerprint
from svgp.data.generators import robot_arm_distance
from svgp.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
MADE = [name for name, dataset in BUILTIN.items() if dataset.generate]


def plain(table):
    return table.replace_schema_metadata(None).combine_chunks()


@pytest.mark.parametrize("name", BUILTIN)
def test_each_set_is_finite_repeats_and_has_its_target(name, monkeypatch):
    def refuse(*_):
        raise AssertionError("a built-in data set must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    table = make_dataset(name)
    assert set(BUILTIN[name].target) < set(table.column_names)
    assert table.num_rows == BUILTIN[name].options.get(
        "rows",
        {"diabetes": 442, "breast_cancer": 569, "digits": 1797, "iris": 150, "wine": 178}.get(name, 20),
    )
    assert all(column.null_count == 0 for column in table.columns)
    assert table_fingerprint(table) == table_fingerprint(make_dataset(name))
    assert table_fingerprint(table) != table_fingerprint(table.slice(1))


@pytest.mark.parametrize("name", MADE)
def test_fewer_rows_are_the_beginning_and_chunks_join_to_the_whole(name):
    whole = make_dataset(name, rows=70_000)  # more than a block
    assert plain(make_dataset(name, rows=66_000)) == plain(whole.slice(0, 66_000))
    assert plain(make_dataset(name, rows=100)) == plain(whole.slice(0, 100))
    chunks = list(iter_dataset(name, 30_000, rows=70_000))
    assert [chunk.num_rows for chunk in chunks] == [30_000, 30_000, 10_000]
    assert plain(pa.concat_tables([plain(chunk) for chunk in chunks])) == plain(whole)


@pytest.mark.parametrize("name", MADE)
def test_blocks_and_seeds_differ(name):
    table = make_dataset(name, rows=2 * 65_536)
    first, second, other = table.slice(0, 100), table.slice(65_536, 100), make_dataset(name, rows=100, seed=1)
    for column in table.column_names[:1]:
        assert first[column].to_pylist() != second[column].to_pylist()
        assert first[column].to_pylist() != other[column].to_pylist()


def test_a_billion_rows_stream_from_the_first_chunk():
    chunk = next(islice(iter_dataset("robot_arm", 1000, rows=10**9), 3, None))
    assert plain(chunk) == plain(make_dataset("robot_arm", rows=4000).slice(3000))


def test_the_arm_agrees_with_homogeneous_transforms():
    """The same chain as 4x4 Denavit-Hartenberg matrices (Craig, Introduction to Robotics, ch. 3)."""
    links = [0.80, 0.70, 0.60, 0.55, 0.50, 0.45, 0.40, 0.35]
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (50, 8))
    for row, distance in zip(angles, robot_arm_distance(angles), strict=True):
        frame = np.eye(4)
        frame[:3, 3] = [3.0, 2.5, 2.5]
        for joint in range(8):
            c, s, twist = np.cos(row[joint]), np.sin(row[joint]), (-1) ** joint * np.pi / 2
            turn = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
            step = np.eye(4)
            step[0, 3] = links[joint]
            c, s = np.cos(twist), np.sin(twist)
            bend = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])
            frame = frame @ turn @ step @ bend
        assert distance == pytest.approx(np.linalg.norm(frame[:3, 3]), rel=1e-13)


def test_every_joint_matters_and_the_distance_stays_away_from_zero():
    angles = np.random.default_rng(1).uniform(-np.pi / 2, np.pi / 2, (2000, 8))
    distance = robot_arm_distance(angles)
    assert distance.min() > 0.3
    for joint in range(8):
        moved = angles.copy()
        moved[:, joint] += 0.5
        assert np.std(robot_arm_distance(moved) - distance) > 0.03 * distance.std()


def test_noise_is_what_the_options_say():
    clean, noisy = make_dataset("robot_arm", noise=0), make_dataset("robot_arm", noise=0.2)
    assert clean["angle3"] == noisy["angle3"]
    assert np.std(noisy["distance"].to_numpy() - clean["distance"].to_numpy()) == pytest.approx(0.2, rel=0.02)


def test_the_curve_has_its_gap_and_the_classes_their_boundary():
    x = make_dataset("curve", rows=5000)["x"].to_numpy()
    assert not np.any((x > 0) & (x < 1.5)) and x.min() < -2.9 and x.max() > 2.9
    table = make_dataset("two_classes", noise=0)
    x1, x2, label = (table[name].to_numpy() for name in ("x1", "x2", "label"))
    np.testing.assert_array_equal(label, x2 > np.sin(2 * x1) + x1**2 / 4 - 0.3)


def test_counts_follow_their_rate():
    table = make_dataset("counts", rows=50_000)
    time, count = table["time"].to_numpy(), table["count"].to_numpy()
    rate = np.exp(1 + np.sin(1.5 * time) + 0.1 * time)
    deviations = (count - rate) / np.sqrt(rate)  # Poisson: variance equals mean
    assert np.mean(deviations) == pytest.approx(0, abs=0.02) and np.var(deviations) == pytest.approx(
        1, abs=0.03
    )


def test_an_orchard_bears_what_its_laws_say():
    table = make_dataset("orchard", rows=20_000)
    height, water, weight, sigma, ripe, trees, scab, moths = (column.to_numpy() for column in table.columns)
    v = np.sin(height / 150) + 0.8 * np.log1p(water) - 0.6
    p, share, rate = expit(-1 - v), ndtr(0.7 * v), np.exp(1 + 0.7 * v)
    scores = {
        "weight": (weight - 150 - 25 * v) / sigma,
        "scab": (scab - trees * p) / np.sqrt(trees * p * (1 - p)),
        "ripe": (ripe - share) / np.sqrt(share * (1 - share) / 13),
        "moths": (moths - 0.7 * rate) / np.sqrt(0.7 * rate + 0.21 * rate**2),
    }
    for name, z in scores.items():  # means and squares of 20,000 scores, within four standard errors
        assert abs(z.mean()) < 4 / np.sqrt(20_000), name
        assert abs(np.mean(z**2) - 1) < 4 * np.std(z**2) / np.sqrt(20_000), name
    assert np.mean(moths == 0) == pytest.approx(np.mean(0.3 + 0.7 * np.exp(-rate)), abs=0.013)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("robot_amr", {}, r"no built-in data set 'robot_amr'; did you mean 'robot_arm'\?"),
        ("curve", {"row": 10}, r"unknown option 'row'; did you mean 'rows'\? \(it takes rows, noise, seed\)"),
        ("counts", {"noise": 1.0}, "unknown option 'noise'"),
        ("diabetes", {"rows": 10}, r"unknown option 'rows' \(it takes none\)"),
        ("curve", {"rows": 1}, "rows is 1; expected a whole number from 2"),
        ("curve", {"rows": 10.5}, "rows is 10.5; expected a whole number"),
        ("curve", {"rows": True}, "rows is True"),
        ("curve", {"seed": True}, "seed is True"),
        ("curve", {"noise": -1}, "noise is -1; expected a number from 0"),
        ("curve", {"noise": float("nan")}, "noise is nan"),
        ("curve", {"seed": -1}, "seed is -1"),
    ],
)
def test_wrong_names_and_options(name, options, message):
    with pytest.raises(DataError, match=message):
        iter_dataset(name, **options)
    with pytest.raises(DataError, match="rows_per_chunk"):
        iter_dataset("curve", 0)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_make_data_writes_what_make_dataset_makes(tmp_path, capsys, suffix):
    main = runpy.run_path(str(ROOT / "scripts" / "make_data"))["main"]
    path = tmp_path / f"arm{suffix}"
    assert main(["robot_arm", "--rows", "300", "--noise", "0.1", "--seed", "5", "-o", str(path)]) == 0
    assert "300 rows of robot_arm" in capsys.readouterr().out
    assert plain(read_table(path)) == plain(make_dataset("robot_arm", rows=300, noise=0.1, seed=5))


def test_make_data_says_what_is_wrong(tmp_path, capsys):
    main = runpy.run_path(str(ROOT / "scripts" / "make_data"))["main"]
    assert main(["curv", "-o", str(tmp_path / "x.csv")]) == 1
    assert "did you mean 'curve'?" in capsys.readouterr().err
    assert main(["curve", "-o", str(tmp_path / "x.xlsx")]) == 1
    assert not list(tmp_path.iterdir())


def test_the_committed_curve_is_what_its_command_makes():
    assert plain(read_table(ROOT / "data" / "curve.csv")) == plain(make_dataset("curve", rows=200))
