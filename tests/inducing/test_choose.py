"""The door to the rules: what holds for each of them, and what is refused."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from svgp.errors import DataError, ModelError
from svgp.inducing import RULES, choose
from svgp.kernels import Matern32

POINT_RULES = [rule for rule in RULES if rule != "file"]


def _kernel(dimensions: int = 2) -> Matern32:
    return Matern32(variance=1.0, lengthscales=np.full(dimensions, 0.3))


@pytest.mark.parametrize("rule", POINT_RULES)
def test_every_rule_gives_distinct_points_and_repeats_with_its_seed(rule: str) -> None:
    X = np.random.default_rng(0).normal(size=(400, 2))
    Z, notes = choose(X, 30, rule, kernel=_kernel(), seed=3)
    again, _ = choose(X, 30, rule, kernel=_kernel(), seed=3)
    assert Z.shape == (30, 2) and Z.dtype == np.float64
    assert len(np.unique(Z, axis=0)) == 30
    np.testing.assert_array_equal(Z, again)
    assert all(isinstance(note, str) for note in notes)


@pytest.mark.parametrize("rule", POINT_RULES)
def test_duplicate_rows_are_taken_once_and_the_user_is_told(rule: str) -> None:
    X = np.repeat(np.arange(6.0)[:, None], 50, axis=0)  # 300 rows, 6 distinct
    Z, notes = choose(X, 20, rule, kernel=_kernel(1), seed=0)
    np.testing.assert_array_equal(np.sort(Z[:, 0]), np.arange(6.0))
    assert any("6 inducing points instead of 20" in note for note in notes)


@pytest.mark.parametrize("rule", POINT_RULES)
@pytest.mark.parametrize("rows", [1, 5])
def test_no_more_rows_than_points_gives_the_rows_themselves(rule: str, rows: int) -> None:
    X = 10.0 * np.arange(rows)[:, None] + np.array([[0.0, 1.0]])
    Z, _ = choose(X, 5, rule, kernel=_kernel(), seed=0)
    np.testing.assert_array_equal(Z[np.argsort(Z[:, 0])], X)


@pytest.mark.parametrize("rule", ["random", "kmeans"])
def test_another_seed_gives_other_points(rule: str) -> None:
    X = np.random.default_rng(0).normal(size=(300, 2))
    assert not np.array_equal(choose(X, 10, rule, seed=1)[0], choose(X, 10, rule, seed=2)[0])


def test_random_points_are_rows_of_the_data() -> None:
    X = np.random.default_rng(0).normal(size=(200, 3))
    Z, _ = choose(X, 50, "random", seed=1)
    assert {tuple(z) for z in Z} <= {tuple(x) for x in X}


def test_negative_zero_is_zero() -> None:
    Z, _ = choose(np.array([[0.0], [-0.0], [1.0]]), 3, "random", seed=0)
    assert len(Z) == 2


def test_kmeans_finds_separated_clusters() -> None:
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    X = (centres[:, None] + 0.1 * np.random.default_rng(0).normal(size=(4, 200, 2))).reshape(-1, 2)
    Z, notes = choose(X, 4, "kmeans", seed=0)
    nearest = np.linalg.norm(Z[:, None] - centres, axis=2)  # [M, 4]
    assert sorted(nearest.argmin(axis=1)) == [0, 1, 2, 3]
    assert nearest.min(axis=1).max() < 0.1  # a mean of 200 rows lies within about 0.1 / sqrt(200)
    assert notes == []


def test_kmeans_ends_near_the_least_distance_that_scikit_learn_finds() -> None:
    from sklearn.cluster import KMeans

    # Far from the origin.
    X = np.random.default_rng(0).normal(size=(3000, 3)) @ np.diag([1.0, 0.5, 0.1]) + 1e4
    Z, _ = choose(X, 40, "kmeans", seed=0)
    found = np.mean(np.min(np.sum((X[:, None] - Z) ** 2, axis=2), axis=1))
    best = KMeans(40, n_init=3, random_state=0).fit(X).inertia_ / len(X)
    assert found < 1.06 * best  # k-means++ alone, without the steps of Lloyd, is at 1.5


def test_large_data_are_clustered_on_a_subset(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("svgp.inducing.k_means")  # the package's attribute is the function
    monkeypatch.setattr(module, "ROWS_AT_LEAST", 100)
    X = np.random.default_rng(0).normal(size=(1000, 2))
    Z, notes = choose(X, 8, "kmeans", seed=0)
    assert len(Z) == 8 and notes == ["k-means ran on 160 of 1000 rows, drawn at random"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"init": "kmean"}, "unknown rule 'kmean'; choose one of kmeans"),
        ({"count": 0}, "at least 1, got 0"),
        ({"X": np.empty((0, 2))}, "got shape"),
        ({"X": np.arange(3.0)}, "got shape"),
        ({"X": np.array([[1.0], [np.nan]])}, "1 of 2 rows"),
        ({"init": "greedy_variance"}, "needs the kernel"),
        ({"init": "file"}, "needs a path"),
        ({"init": "cover_tree", "min_separation": -1.0}, "must be positive, got -1.0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        choose(**({"X": np.ones((4, 2)), "count": 2, "init": "kmeans"} | arguments))


class TestFile:
    """Points from a file."""

    POINTS = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.5]])

    @pytest.mark.parametrize("suffix", [".csv", ".headed.csv", ".npy", ".npz"])
    def test_every_format_gives_the_same_points(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"z{suffix}"
        if suffix == ".npy":
            np.save(path, self.POINTS)
        elif suffix == ".npz":
            np.savez(path, Z=self.POINTS, other=np.ones(3))
        else:
            header = "\ufeffa,b\r\n" if "headed" in suffix else ""
            path.write_text(header + "0,1\r\n2,3\r\n4,5.5\r\n", encoding="utf-8")
        Z, notes = choose(np.ones((9, 2)), 3, "file", path=path)
        np.testing.assert_array_equal(Z, self.POINTS)
        assert notes == []

    def test_transform_takes_the_files_units_to_the_models(self, tmp_path: Path) -> None:
        np.save(tmp_path / "z.npy", self.POINTS)
        Z, _ = choose(
            np.ones((9, 2)), 3, "file", path=tmp_path / "z.npy", transform=lambda rows: (rows - 1) / 2
        )
        np.testing.assert_array_equal(Z, (self.POINTS - 1) / 2)

    def test_duplicates_and_another_count_are_reported(self, tmp_path: Path) -> None:
        np.save(tmp_path / "z.npy", np.concatenate([self.POINTS, self.POINTS[:1]]))
        Z, notes = choose(np.ones((9, 2)), 512, "file", path=tmp_path / "z.npy")
        assert len(Z) == 3
        assert "1 of 4 inducing points occur twice" in notes[0]
        assert "model.inducing.count 512 is not used" in notes[1]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("1,2,3\n", r"M rows of 2 columns.*got shape \[1, 3\]"),
            ("1,2\n3,x\n", r"z.csv:2: expected numbers only, got '3,x'"),
            ("1,2\n3\n", r"z.csv:2: 1 columns where the lines before have 2"),
            ("1,2\n3,nan\n", "row 2 .* holds NaN"),
            ("a,b\n", "got shape"),
        ],
    )
    def test_a_wrong_csv_is_refused_by_name_and_line(self, tmp_path: Path, text: str, words: str) -> None:
        (tmp_path / "z.csv").write_text(text)
        with pytest.raises(DataError, match=words):
            choose(np.ones((9, 2)), 3, "file", path=tmp_path / "z.csv")

    def test_a_missing_or_pickled_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no such file"):
            choose(np.ones((9, 2)), 3, "file", path=tmp_path / "z.npy")
        np.save(tmp_path / "z.npy", np.array([{"run": "code"}]), allow_pickle=True)
        with pytest.raises(DataError, match="cannot be read as inducing points"):
            choose(np.ones((9, 2)), 3, "file", path=tmp_path / "z.npy")
