"""A config error answers at once: nothing heavy is imported to find it."""

from __future__ import annotations

import subprocess
import sys


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, svgp.config as c\n"
        "c.Config.from_dict({'data': {'dataset': 'curve'}}).to_yaml(); c.config_schema()\n"
        "heavy = {'tensorflow', 'numpy', 'pyarrow', 'scipy', 'sklearn', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_exported_names() -> None:
    import svgp.config

    assert svgp.config.__all__ == [
        "BernoulliLikelihood", "BuiltinDataset", "Config", "DataConfig", "GammaPrior",
        "GaussianLikelihood", "InducingConfig", "KERNELS", "Kernel", "KernelSection", "Likelihood",
        "LogNormalPrior", "ModelConfig", "NeighboursConfig", "OnInputs", "OutputConfig", "PoissonLikelihood",
        "PosteriorConfig", "Prior", "PriorsConfig", "Section", "StudentTLikelihood", "Task",
        "TestConfig", "TrainConfig", "config_schema", "load_config", "kernel_section", "kernel_sections",
        "template_for_table",
    ]  # fmt: skip
    for name in svgp.config.__all__:
        assert hasattr(svgp.config, name)
