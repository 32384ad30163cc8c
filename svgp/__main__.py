"""`python -m svgp` is the command `svgp`."""

from __future__ import annotations

from svgp.cli import main

if __name__ == "__main__":
    main()
