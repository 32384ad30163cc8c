"""The same training run on the device and on the CPU: `python -m benchmarks.gpu_training gpu|cpu`.

Each in a process of its own, since a process that hides the GPU does so for good. The last line is JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def train(device: str, folder: Path, small: bool) -> dict[str, float]:
    """metrics.json of a run of robot_arm."""
    rows, points, steps = (2000, 32, 3) if small else (40_000, 1024, 15)
    data = {"dataset": {"name": "robot_arm", "rows": rows}}
    config = {
        "data": data,
        "model": {"inducing": {"count": points}},
        "train": {"device": device, "max_steps": steps},
    }
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    command = [
        sys.executable,
        "-m",
        "svgp",
        "train",
        str(folder / "config.yaml"),
        "--run-dir",
        str(folder / "run"),
    ]
    subprocess.run(command, check=True)
    return json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))


def main(device: str) -> int:
    found = {}
    for where in dict.fromkeys([device, "cpu"]):
        with tempfile.TemporaryDirectory() as folder:
            metrics = train(where, Path(folder), small=device == "cpu")
        found[where] = {name: metrics[name] for name in ("train.elbo", "test.rmse", "test.nlpd", "wall_s")}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
