"""From a table as people have them to predictions: init, check, train, predict, with no edit between."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import svgp
from svgp.cli import main
from svgp.data import read_table


def run(*words: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert not ended.value.code


def test_a_european_table_with_dates_gaps_and_signs(tmp_path, capsys, monkeypatch, no_plots):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    size = rng.random(60) * 2
    rows = [
        f"{100 + i};{i % 28 + 1:02d}.0{i % 9 + 1}.2024;{f'{s:.3f}'.replace('.', ',') if i % 3 else ''};"
        f"{['Köln', 'Ulm'][i % 2]};1.{200 + int(300 * s)},50 €"
        for i, s in enumerate(size)
    ]
    text = "Nr;Datum;Größe;Ort;Preis\n" + "\n".join(rows) + "\n"
    (tmp_path / "houses.csv").write_bytes(text.encode("cp1252"))
    run("init", "houses.csv", "--target", "Preis")
    assert "left out: 'Nr': a row number" in capsys.readouterr().out
    run("check", "houses.yaml")
    assert "'Datum': dates or times %d.%m.%Y" in capsys.readouterr().out
    quick = ["train.method=adam", "train.max_epochs=3", "model.inducing.count=8", "train.evaluate_every=3"]
    run("train", "houses.yaml", *quick, "--run-dir", "run")
    opened = svgp.load_run("run")
    names = ["Datum", "Größe", "Ort=Köln", "Ort=Ulm", "Größe missing"]
    assert opened.columns.input_names == names
    assert 1000 < opened.columns.target_mean[0] < 2000
    # The same rows, as another program would write them.
    (tmp_path / "new.csv").write_text("Datum,Größe,Ort\n2024-01-01,0.5,Köln\n2024-02-02,,Ulm\n")
    (tmp_path / "old.csv").write_text("Datum;Größe;Ort\n01.01.2024;0,5;Köln\n02.02.2024;;Ulm\n")
    for name in ("new", "old"):
        run("predict", "run", f"{name}.csv", "-o", f"{name}_out.csv")
    new, old = (read_table(f"{name}_out.csv") for name in ("new", "old"))
    np.testing.assert_array_equal(new["Preis_mean"].to_numpy(), old["Preis_mean"].to_numpy())
    assert read_table("old_out.csv", text=["Datum"])["Datum"].to_pylist() == ["01.01.2024", "02.02.2024"]
    frame = pa.table({"Datum": ["2024-01-01", "2024-02-02"], "Größe": [0.5, None], "Ort": ["Köln", "Ulm"]})
    said = opened.predict(frame)
    np.testing.assert_allclose(said.mean, new["Preis_mean"].to_numpy(), rtol=1e-12)
    assert opened.evaluate("houses.csv")["rmse"] > 0
