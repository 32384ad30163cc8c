"""`model.kernel`: one covariance function, or a tree of them.

Each module of this folder registers its sections.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from svgp.config.kernels.base import (
    KERNELS,
    Kernel,
    KernelSection,
    OnInputs,
    kernel_section,
    kernel_sections,
)

__all__ = ["KERNELS", "Kernel", "KernelSection", "OnInputs", "kernel_section", "kernel_sections"]

for _module in sorted(found.name for found in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")
