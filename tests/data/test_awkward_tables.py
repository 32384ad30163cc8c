"""From a table as people have them to a config that loads with no edit, and what is said on the way."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from svgp.config import DataConfig, load_config
from svgp.data import Columns, load_dataset, read_table
from svgp.data.first_config import first_config
from svgp.data.frames import frame_table
from svgp.data.sniff import sniff_table
from svgp.data.tasks import TASKS
from svgp.errors import ConfigError, DataError

ROWS = 120
rng = np.random.default_rng(5)
X = rng.random((ROWS, 3)) * 3
Y = np.sin(X[:, 0]) + 0.3 * X[:, 1] + 0.05 * rng.standard_normal(ROWS)
TOWNS = ["Köln", "Ulm", "Zürich"]


def lines(header: str, row: Callable[[int], str], end: str = "\n") -> str:
    return header + end + "".join(row(i) + end for i in range(ROWS))


def german(value: float, digits: int = 3) -> str:
    return f"{value:,.{digits}f}".replace(",", " ").replace(".", ",").replace(" ", ".")


def european() -> str:
    def row(i: int) -> str:
        date, size = f"{i % 28 + 1:02d}.{i % 12 + 1:02d}.2024", german(1000 * X[i, 0])
        return f"{i + 7};{date};{size};{TOWNS[i % 3]};{german(Y[i])}"

    return lines("Nr;Datum;Fläche;Ort;y", row)


def wide() -> str:
    return lines(",".join(f"x{d}" for d in range(500)) + ",y",
                 lambda i: ",".join(f"{math.sin(i * d):.3f}" for d in range(500)) + f",{Y[i]}")  # fmt: skip


def gappy() -> str:
    holes = np.random.default_rng(0).random((ROWS, 4)) < [0.3, 0.3, 0.3, 0.8]
    cells = [["" if holes[i, d] else f"{X[i, min(d, 2)]:.3f}" for d in range(4)] for i in range(ROWS)]
    return lines("a,b,c,mostly,y", lambda i: ",".join(cells[i]) + f",{Y[i]}")


def texts() -> str:
    return lines(
        "colour,size,remark,y",
        lambda i: f'{"red" if i % 2 else "blue"},{"SML"[i % 3]},"said: {i},\nat length",{Y[i]}',
    )


# name of the file: its content, the inputs, what is said
TABLES: dict[str, tuple[str | bytes, list[str] | None, str]] = {
    "european.csv": (
        european(), ["Datum", "Fläche", *(f"Ort={town}" for town in TOWNS)], "'Nr': a row number",
    ),
    "dates.csv": (
        lines("when,at,y", lambda i: f"2024-{i % 12 + 1:02d}-03,{i % 24:02d}:30,{Y[i]}"), ["when", "at"],
        "2 dates ('when', 'at')",
    ),
    "wide.csv": (wide(), [f"x{d}" for d in range(1, 500)], "'x0': the same value everywhere"),
    "two.csv": (lines("x,y", lambda i: f"{X[i, 0]},{Y[i]}"), ["x"], "1 number"),
    "series.csv": (lines("t,y", lambda i: f"{i},{Y[i]}"), ["t"], "1 number"),
    "gaps.csv": (gappy(), ["a", "b", "c", "a missing", "b missing", "c missing"], "the mean stands in"),
    "texts.csv": (texts(), ["colour=blue", "colour=red", "size=L", "size=M", "size=S"], "'remark': text"),
    "latin.csv": (european().encode("cp1252"), None, "read as windows-1252"),
    "packed.csv.gz": (gzip.compress(european().encode()), None, "semicolons"),
    "utf16.csv": (european().encode("utf-16"), None, "utf-16"),
    "huge.csv": (
        lines("order,x,y", lambda i: f"{90071992547409930 + 7 * (i * 37 % ROWS)},{X[i, 0]},{Y[i]}"), ["x"],
        "'order': an identifier",
    ),
    "ids.csv": (lines("user_id,x,y", lambda i: f"{(i * 37) % 997},{X[i, 0]},{Y[i]}"), ["x"],
                "'user_id': an identifier"),
    "tab.tsv": (lines("a\tb\ty", lambda i: f"{X[i, 0]}\t{X[i, 1]}\t{Y[i]}"), ["a", "b"], "tabs"),
    "blanks.txt": (lines(" a   b  y", lambda i: f"  {X[i, 0]:8.3f} {X[i, 1]:9.2f}   {Y[i]}"), ["a", "b"],
                   "blanks"),
    "signs.csv": (
        lines("rate,cost,y", lambda i: f'{i * 7 % 50} %,"${1000 * X[i, 0]:,.2f}",{Y[i]}'), ["rate", "cost"],
        "2 numbers",
    ),
    "thousands.csv": (lines("a,y", lambda i: f'"{1000000 * X[i, 0]:,.0f}",{Y[i]}'), ["a"], "1 number"),
    "t.arrow": (b"", ["a", "when", "town=x", "town=y"], "1 category ('town')"),
}  # fmt: skip


def written(folder: Path, name: str) -> Path:
    content = TABLES[name][0]
    path = folder / name
    if name.endswith(".arrow"):
        days = pa.array(range(ROWS), pa.int32()).cast(pa.date32())
        table = {
            "a": X[:, 0],
            "when": days,
            "town": pa.array(["x", "y"] * (ROWS // 2)).dictionary_encode(),
            "y": Y,
        }
        pyarrow.feather.write_feather(pa.table(table), path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", TABLES)
def test_the_first_config_loads_with_no_edit(tmp_path, name):
    path = written(tmp_path, name)
    text, told = first_config(path, ["y"], tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
    config = load_config(tmp_path / "c.yaml")
    dataset = load_dataset(config.data, config.model.likelihood.task)
    expected = TABLES[name][1]
    assert expected is None or dataset.columns.input_names == expected
    assert TABLES[name][2] in " | ".join(told)
    assert len(dataset.X) + len(dataset.X_test) == ROWS
    target = np.concatenate([dataset.Y, dataset.Y_test]) * dataset.columns.target_scale
    np.testing.assert_allclose(np.sort((target + dataset.columns.target_mean)[:, 0]), np.sort(Y), atol=1e-3)
    assert Columns.from_dict(dataset.columns.to_dict()).input_names == dataset.columns.input_names


def test_a_name_that_occurs_twice_is_one_clear_error(write, tmp_path):
    path = write("t.csv", "a,b,a,y\n1,2,3,4\n")
    with pytest.raises(DataError, match="the column names 'a' occur more than once"):
        first_config(path, ["y"], tmp_path / "c.yaml")


def test_what_is_in_doubt_is_settled_by_a_word(write, tmp_path):
    path = write("t.csv", lines("a,y", lambda i: f'"{i % 9 + 1},{i % 7}25",{Y[i]:.0f}'))
    with pytest.raises(DataError, match="which may be 1.025 .* or 1025"):
        first_config(path, ["y"], tmp_path / "c.yaml")
    for override, top in (
        ("data.format.decimal=,", 9.9), ("data.columns.a.thousands=,", 9900),
    ):  # fmt: skip
        text, _ = first_config(path, ["y"], tmp_path / "c.yaml", [override])
        (tmp_path / "c.yaml").write_text(text)
        data = load_dataset(load_config(tmp_path / "c.yaml").data, "regression")
        highest = data.X[:, 0].max() * data.columns.input_scale[0] + data.columns.input_mean[0]
        assert top / 1.2 < highest < top
    with pytest.raises(ConfigError, match="init takes data.format.KEY=VALUE"):
        first_config(path, ["y"], tmp_path / "c.yaml", ["train.seed=3"])
    with pytest.raises(ConfigError, match="data.format.decimal: expected"):
        first_config(path, ["y"], tmp_path / "c.yaml", ["data.format.decimal=x"])


def test_no_column_that_can_be_an_input(write, tmp_path):
    path = write("t.csv", lines("who,y", lambda i: f"person {i},{Y[i]}"))
    with pytest.raises(DataError, match="no column can be an input .'who': text: 120 different values"):
        first_config(path, ["y"], tmp_path / "c.yaml")


def test_inputs_with_gaps_are_told_by_inputs_of_their_own(write, data_config):
    path = write("t.csv", "a,c,when,b,y\n1,x,2024-01-01,5,1\n,y,2024-01-02,6,2\n3,,,7,3\n4,x,2024-01-05,8,\n")
    config = data_config(
        path,
        missing="indicator",
        categorical=["c"],
        columns={"when": {"parts": ["weekday"]}},
        standardize=False,
    )
    dataset = load_dataset(config, "regression")
    columns = Columns.from_dict(dataset.columns.to_dict())
    assert columns.input_names == [
        "a", "c=x", "c=y", "when", "when.weekday", "b", "a missing", "c missing", "when missing",
    ]  # fmt: skip
    day = 19723  # 1 January 2024, a Monday
    expected = [
        [1, 1, 0, day, 0, 5, 0, 0, 0],
        [2, 0, 1, day + 1, 1, 6, 1, 0, 0],
        [3, 0, 0, day + 0.5, 0.5, 7, 0, 1, 1],
    ]  # fmt: skip
    np.testing.assert_array_equal(dataset.X, expected)  # the row without a target is left out
    new = pa.table({"a": [None, 9.0], "c": ["x", None], "when": ["2024-01-08", None], "b": [1, 2]})
    np.testing.assert_array_equal(
        columns.read_inputs(new),
        [[2, 1, 0, day + 7, 0, 1, 1, 0, 0], [9, 0, 0, day + 0.5, 0.5, 2, 0, 1, 1]],
    )
    with pytest.raises(DataError, match="missing values in 'b'"):
        columns.read_inputs(new.set_column(3, "b", pa.array([None, 1.0])))


def frames():
    import pandas
    import polars

    data = {"when": ["2024-01-01", "2024-01-02"], "a": ["1,5", "2,5"]}
    yield "mapping", data
    yield "pandas", pandas.DataFrame(data, index=[5, 6])
    yield "polars", polars.DataFrame(data)
    yield "arrow", pa.table(data)
    yield "batch", pa.RecordBatch.from_pydict(data)


@pytest.mark.parametrize("kind", ["mapping", "pandas", "polars", "arrow", "batch"])
def test_frames_of_any_kind_are_read_as_files_are(write, data_config, kind):
    columns = load_dataset(
        data_config(write("t.csv", "when,a,y\n1970-01-02,1,2\n1970-01-04,2,3\n")), "regression"
    )
    frame = dict(frames())[kind]
    raw = columns.columns.read_inputs(frame_table(frame)) * columns.columns.input_scale
    np.testing.assert_allclose(raw + columns.columns.input_mean, [[19723, 1.5], [19724, 2.5]])


def test_what_is_no_frame_is_refused():
    with pytest.raises(DataError, match="a dict cannot be taken as a table"):
        frame_table({"a": [1, 2], "b": [1]})


def test_views_of_text_half_floats_and_calendar_spans_are_read_or_refused_by_name(tmp_path):
    rows = 40
    table = pa.table(
        {
            "view": pa.array(["p", "q"] * (rows // 2), pa.string_view()),
            "half": pa.array(np.arange(rows) % 11, pa.float16()),
            "y": np.arange(rows) % 7 + 0.5,
        }
    )
    path = tmp_path / "views.parquet"
    pq.write_table(table, path)
    assert dict(sniff_table(read_table(path), ["y"]).columns) == {"view": "category", "half": "number"}
    for stream in (False, True):
        found = load_dataset(
            DataConfig(path=path, target=["y"], categorical=["view"], stream=stream), "regression"
        )
        assert found.columns.levels == {"view": ["p", "q"]}
    spans = pa.table({"span": pa.array([pa.MonthDayNano([1, 2, 3])] * rows), "y": table["y"]})
    with pytest.raises(DataError, match="month_day_nano_interval values, neither numbers nor categories"):
        sniff_table(spans, ["y"])


def test_numbers_whose_squares_overflow_are_refused_by_name_and_row(tmp_path):
    path = tmp_path / "huge.csv"
    path.write_text("a,y\n" + "".join(f"{(-1) ** i * 1.7e308},{i}\n" for i in range(9)))
    with pytest.raises(DataError, match=r"values beyond 1e\+150 in 'a' \(9 rows, first row 1\)"):
        load_dataset(DataConfig(path=path, target=["y"]), "regression")
    label = TASKS["binary"].find_classes(pa.table({"y": [1.7e308, -1.7e308]}), "y")
    assert pa.array(label).type == pa.float64()  # as a whole number it would fit no column
