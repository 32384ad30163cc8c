"""The command line: parsing, printing and exit codes. Importing it imports no TensorFlow."""

from __future__ import annotations

from svgp.cli.app import main

__all__ = ["main"]
