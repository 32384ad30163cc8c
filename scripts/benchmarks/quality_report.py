"""Tables and a picture of quality against training time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality import Curve
from benchmarks.table import table

MARKS = (10.0, 30.0, 60.0, 300.0, 600.0)  # seconds at which quality is tabulated
TICKS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)
GOALS = (60.0, 300.0)  # peers' NLPD at these is what ours has to reach


def tables(curves: Sequence[Curve], seconds: float, *, markdown: bool) -> str:
    """Quality at some times, then how long ours took to what the peers had."""
    drawn = [curve for curve in curves if curve.rows]
    if not drawn:
        return "nothing was measured"
    marks = [mark for mark in MARKS if mark <= seconds] or [seconds]
    parts = [
        "RMSE / NLPD on the test rows, standardised targets, after so many seconds of training "
        "(evaluation left out; compiling counted).",
        table([quality_row(curve, marks) for curve in drawn], markdown=markdown),
    ]
    goals = [goal for goal in GOALS if goal <= seconds] or [seconds]
    rows = [
        speed_row(ours, peer, goals)
        for ours in drawn
        for peer in drawn
        if is_ours(ours) and not is_ours(peer) and ours.data == peer.data
    ]
    if rows:
        parts += [
            "Seconds that ours took to the peer's NLPD, and how many times longer the peer took; "
            "the last column is NLPD at the end, ours less the peer's.",
            table(rows, markdown=markdown),
        ]
    failures = [f"{curve.data}, {curve.name}: {curve.failure}" for curve in curves if curve.failure]
    return "\n\n".join(parts + failures)


def is_ours(curve: Curve) -> bool:
    """Whether svgp drew it."""
    return curve.name.split("-")[0] == "ours"


def quality_row(curve: Curve, marks: Sequence[float]) -> dict[str, str]:
    """One contender on one data set."""
    last = curve.rows[-1]
    row = {"data": curve.data, "contender": curve.name, "method": last["method"]}
    for mark in marks:
        row[f"{mark:g} s"] = f"{number(curve.at(mark, 'rmse'))} / {number(curve.at(mark, 'nlpd'))}"
    coverage = last["coverage_95"]
    row["95% interval"] = "-" if coverage is None else f"{coverage:.1%}"
    row["steps"] = str(last["steps"])
    row["ended"] = f"{last['seconds']:.0f} s" if last["finished"] else "-"
    return row | {"peak MiB": f"{last['peak_mib']:.0f}"}


def speed_row(ours: Curve, peer: Curve, goals: Sequence[float]) -> dict[str, str]:
    """How long ours took to what the peer had. A peer that ended early is held at what it reached, when."""
    row = {"data": ours.data, "ours": ours.name, "peer": peer.name}
    for goal in goals:
        nlpd = peer.at(goal, "nlpd")
        needed = None if nlpd is None else ours.time_to(nlpd)
        taken = min(goal, peer.rows[-1]["seconds"])
        row[f"NLPD at {goal:g} s"] = number(nlpd)
        row[f"ours, s ({goal:g})"] = "never" if needed is None and nlpd is not None else number(needed, 1)
        row[f"ratio ({goal:g})"] = "-" if needed is None else f"{taken / needed:.1f}"
    ends = [curve.rows[-1]["nlpd"] for curve in (ours, peer)]
    row["at the end"] = "-" if None in ends else f"{ends[0] - ends[1]:+.3f}"
    return row


def number(value: float | None, digits: int = 3) -> str:
    """A number for a table, or `-`."""
    return "-" if value is None else f"{value:.{digits}f}"


def picture(curves: Sequence[Curve], file: Path) -> None:
    """NLPD and RMSE of one data set against seconds, a line for each contender."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    for axes, measure in zip(figure.subplots(1, 2), ("nlpd", "rmse"), strict=True):
        for curve in curves:
            rows = [row for row in curve.rows if row[measure] is not None]
            style = {"linewidth": 2.5, "zorder": 3} if is_ours(curve) else {"linewidth": 1.2}
            seconds, values = [row["seconds"] for row in rows], [row[measure] for row in rows]
            axes.plot(seconds, values, label=curve.name, **style)
        settled = [
            row[measure] for c in curves for row in c.rows[len(c.rows) // 4 :] if row[measure] is not None
        ]
        if settled:  # the first steps of some are off any useful scale
            margin = 0.05 * (max(settled) - min(settled)) + 1e-3
            axes.set_ylim(min(settled) - margin, max(settled) + margin)
        axes.set(xscale="log", xlabel="seconds of training", ylabel=f"test {measure.upper()}")
        axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
        axes.minorticks_off()
        first, last = (pick(row["seconds"] for c in curves for row in c.rows) for pick in (min, max))
        axes.set_xlim(0.9 * first, 1.1 * last)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize="small")
    figure.suptitle(curves[0].data)
    figure.savefig(file, dpi=140)
