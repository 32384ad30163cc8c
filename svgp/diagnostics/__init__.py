"""What a run shows: numbers about the inducing points, scores of predictions, and plots of both.

The plots live in `svgp.diagnostics.plots`, which alone imports matplotlib.
"""

from __future__ import annotations

from svgp.diagnostics.advice import Setup, advise
from svgp.diagnostics.contributions import Contributions, contributions
from svgp.diagnostics.inducing import fixed_subset, inducing_diagnostics
from svgp.diagnostics.spectrum import condition_number, effective_rank

__all__ = [
    "Contributions",
    "Setup",
    "advise",
    "condition_number",
    "contributions",
    "effective_rank",
    "fixed_subset",
    "inducing_diagnostics",
]
