"""The report: whole in one file, advice first, and nothing in it that a name could smuggle in."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from svgp.report import render_report, write_report
from svgp.report.numbers import comparison, flatten, foretold, headline, table, value_text

HOSTILE = '<script>alert("x")</script>"><img src=http://evil/x onerror=alert(1)>'
VOID = {"meta", "img", "link", "br", "hr"}


class _Tags(HTMLParser):
    """Collects tags and checks that they close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _parts(**changes: Any) -> dict[str, Any]:
    parts: dict[str, Any] = {
        "config_yaml": "name: test\n",
        "metrics": {
            "train.elbo": -123.4,
            "test.rmse": 0.1234,
            "test.nlpd": -0.5,
            "wall_s": 61.0,
            "steps": 4000,
        },
        "history": [
            {"step": i, "epoch": i / 10, "wall_s": 1.0 * i, "test.rmse": 1 / (i + 1)} for i in range(40)
        ],
        "inducing_history": [
            {"count": 512, "redundant": 31, "residual_mean": 0.004, "advice": ["fewer would do"]}
        ],
        "environment": {"versions": {"svgp": "0.1.0"}, "device": "cpu"},
        "figures": {"loss_curves": b"\x89PNG\r\n\x1a\nrest"},
        "notes": ["3 rows were dropped"],
        "title": "kin40k",
    }
    return parts | changes


def _parsed(page: str) -> _Tags:
    tags = _Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    return tags


def test_everything_is_there_and_the_advice_comes_first() -> None:
    page = render_report(**_parts())
    _parsed(page)
    places = [
        page.index(text)
        for text in ("fewer would do", "0.1234", "data:image/png", "3 rows were dropped", "name: test")
    ]
    assert places == sorted(places)
    assert "versions.svgp" in page and "Redundant" in page


def test_it_is_self_contained() -> None:
    tags = _parsed(render_report(**_parts())).tags
    assert not any(tag in ("script", "link", "iframe") for tag, _ in tags)
    sources = [attributes.get("src", "") or "" for _, attributes in tags if "src" in attributes]
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)
    policy = [a.get("content") for t, a in tags if t == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


@pytest.mark.parametrize(
    "changes",
    [
        {"title": HOSTILE},
        {"config_yaml": f"name: {HOSTILE}"},
        {"notes": [HOSTILE]},
        {"metrics": {HOSTILE: HOSTILE}},
        {"environment": {HOSTILE: {HOSTILE: HOSTILE}}},
        {"inducing_history": [{"advice": [HOSTILE], "count": HOSTILE}]},
        {"figures": {HOSTILE: b"png"}},
        {"history": [{"step": HOSTILE, "test.rmse": HOSTILE}]},
        {"hyperparameters": [(HOSTILE, HOSTILE, HOSTILE, 1.0, None)]},
    ],
)
def test_hostile_text_is_escaped_wherever_it_comes_from(changes: dict[str, Any]) -> None:
    page = render_report(**_parts(**changes))
    tags = _parsed(page).tags
    assert not any(tag == "script" or "onerror" in attributes for tag, attributes in tags)
    assert "evil" in page


def test_template_syntax_in_a_name_is_text() -> None:
    assert "{{ 6 * 7 }}" in render_report(**_parts(title="{{ 6 * 7 }}"))


def test_an_empty_run_still_has_a_report() -> None:
    _parsed(
        render_report(config_yaml="", metrics={}, history=[], inducing_history=[], environment={}, figures={})
    )


def test_figures_are_embedded_whole() -> None:
    figure = Figure()
    figure.subplots().plot([0, 1])
    page = render_report(**_parts(figures={"drawn": figure, "given": b"\x89PNG given"}))
    found = [base64.b64decode(text) for text in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]
    assert found[0].startswith(b"\x89PNG\r\n\x1a\n") and found[1] == b"\x89PNG given"


def test_write_report_writes_the_page(tmp_path: Path) -> None:
    path = write_report(tmp_path / "report.html", **_parts())
    assert path.read_text(encoding="utf-8") == render_report(**_parts())


def test_headline_prefers_final_metrics_and_falls_back_on_the_log() -> None:
    history = [{"step": 10, "elbo": -5.0, "test.rmse": 0.5}, {"step": 20, "elbo": -4.0, "test.rmse": None}]
    found = {number.name: number.text for number in headline({"test": {"rmse": 0.25}}, history)}
    assert found == {"Test RMSE": "0.25", "ELBO": "-4", "Steps": "20"}


def test_table_keeps_the_last_evaluation_and_stays_short() -> None:
    rows = [{"step": i, "test.rmse": 1.0 * i} for i in range(100)]
    shown = table(rows)
    assert shown[0] == ["step", "test.rmse"] and len(shown) == 16
    assert shown[1][0] == "0" and shown[-1][0] == "99"
    assert table([]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "True"), (12345, "12,345"), (0.123456, "0.1235"), (-54321.6, "-54,322"),
     (1e12, "1e+12"), ([1, 2.5], "1, 2.5"), ("a", "a")],
)  # fmt: skip
def test_values_as_text(value: Any, text: str) -> None:
    assert value_text(value) == text


def test_flatten() -> None:
    assert flatten({"a": {"b": {"c": 1}}, "d.e": 2}) == {"a.b.c": 1, "d.e": 2}


def test_before_and_after_stand_side_by_side() -> None:
    metrics = {"test.rmse": 1.0, "test.nlpd": -2.0, "test.sparse.rmse": 1.0, "test.sparse.nlpd": 0.5}
    assert comparison(metrics) == [("Test RMSE", "1", "1"), ("Test NLPD", "0.5", "-2")]
    assert comparison({"test.rmse": 1.0, "test.sparse.rmse": 1.0}) == []  # nothing was changed
    assert "inducing points alone" in render_report(**_parts(metrics=metrics))


def test_what_was_foretold_stands_beside_what_it_took():
    metrics = {
        "forecast.train_s": 12.34, "wall_s": 10.0, "forecast.session_s": 15.0, "session_s": 16.0,
        "forecast.before": [7.89, 40.12],
        "forecast.peak_bytes": 1.5e9, "peak_bytes": 1.25e9,
    }  # fmt: skip
    assert foretold(metrics) == [
        ("Training, evaluations and end, before it began", "7.89 to 40.1 s", "16 s"),
        ("Training, for the steps taken", "12.3 s", "10 s"),
        ("The last session, for its steps, evaluations and end included", "15 s", "16 s"),
        ("Memory at the peak", "1.5 GB", "1.25 GB"),
    ]
    assert foretold({"wall_s": 10.0}) == []  # of an update nothing is foretold
