"""A run as one self-contained HTML file."""

from __future__ import annotations

from svgp.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
