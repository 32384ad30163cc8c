"""What a resumed run takes from its folder, and what may be changed about it."""

from __future__ import annotations

from typing import Any

from svgp import files
from svgp.config import Config, load_config
from svgp.errors import RunError
from svgp.runs.folder import RunFolder, is_own

# When to stop, how often to report and how fast to go; anything else would be another run.
CHANGEABLE = (
    "max_epochs", "max_steps", "max_seconds", "tolerance",
    "patience", "evaluate_every", "log_every", "checkpoint_every",
    "learning_rate", "device", "tensorboard",
)  # fmt: skip


def resumed_config(folder: RunFolder, wanted: Config | None) -> Config:
    """The run's own config, with what `wanted` may change of it. Raises RunError where it asks for more."""
    own = load_config(folder.config)
    if wanted is None:
        return own
    if wanted.model.inducing.count == "auto":  # which is a number in the run's own config
        inducing = wanted.model.inducing.model_copy(update={"count": own.model.inducing.count})
        model = wanted.model.model_copy(update={"inducing": inducing})
        wanted = wanted.model_copy(update={"model": model})
    if refused := _refused(own.to_dict(), wanted.to_dict()):
        raise RunError(
            f"{folder.path}: a resumed run goes on with its own config, and the one given differs in "
            f"{refused}. Only these may change: train.{', train.'.join(CHANGEABLE)}. "
            "Start a new run for the rest"
        )
    return own.model_copy(update={"train": wanted.train})


def require_same_config(folder: RunFolder, config: Config, began: dict[str, Any] | None) -> None:
    """Raise RunError where config.yaml was edited since the checkpoint, which knows what it `began` as."""
    if began is not None and (refused := _refused(began, config.to_dict())):
        raise RunError(
            f"{folder.config}: has been changed since the checkpoint was written: {refused}. Change it back, "
            "or start a new run"
        )


def _refused(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What differs between two configs and may not: `train.seed (0 -> 5)`."""
    allowed = {f"train.{name}" for name in CHANGEABLE} | {"name", "output.dir"}
    one, other = _flat(before), _flat(after)
    differ = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    told = (f"{key} ({one.get(key)!r} -> {other.get(key)!r})" for key in differ if key not in allowed)
    return "; ".join(told)


def require_resumable(folder: RunFolder) -> None:
    """Raise RunError where this is no run, or another process is at it."""
    folder.require_run()
    status = folder.read_status()
    if status["status"] == "running" and not is_own(status):
        raise RunError(
            f"{folder.path}: is still running (process {status.get('pid')} on {status.get('host')}); "
            f"wait for it, or stop it with Ctrl-C first. If it is gone, delete {folder.status}"
        )


def require_same_data(folder: RunFolder, sha256: str) -> None:
    """Raise RunError where the data are not those the run began with."""
    known = (files.read_object(folder.environment).get("data") or {}).get("sha256")
    if known is None:
        raise RunError(f"{folder.environment}: does not say on which data the run began; the file is damaged")
    if known != sha256:
        raise RunError(
            f"{folder.path}: the data have changed since this run began (SHA-256 {known[:12]}..., now "
            f"{sha256[:12]}...); restore them, or start a new run"
        )


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict) or not tree:
        return {prefix[:-1]: tree}
    return {
        key: leaf for name, branch in tree.items() for key, leaf in _flat(branch, f"{prefix}{name}.").items()
    }
