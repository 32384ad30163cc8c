"""Makes the repository's .venv when it is missing or stale. Called by scripts/setup; standard library only.

In order means: made here (a virtual environment does not survive being moved), its interpreter starts, the
install went to its end, nothing was removed since, and pyproject.toml and constraints.txt ask for the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "svgp-setup.json"
PYTHON = VENV / "bin" / "python"


def main() -> None:
    dev = "dev" in sys.argv[1:]
    with exclusive():
        why = broken()
        if why is None and not stale(dev):
            return
        if why is not None:
            print(f"setting up {VENV}: {why}", file=sys.stderr)
            rebuild()
        else:
            print(f"updating {VENV}", file=sys.stderr)
        install(dev or bool(read_stamp().get("dev")))


@contextmanager
def exclusive() -> Iterator[None]:
    """One set-up at a time; the system lets the lock go when its holder dies."""
    with open(ROOT / ".venv.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another scripts/setup to end", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            pass  # some network file systems have no locks
        yield


def broken() -> str | None:
    """Why the environment has to be made anew, or None."""
    if not VENV.exists():
        return "there is none yet"
    stamp = read_stamp()
    if not stamp:
        return "the last set-up did not finish"
    if stamp.get("venv") != str(VENV):
        return f"it was made at {stamp.get('venv')} and then moved"
    version = interpreter_version()
    if version is None:
        return "its Python does not start"
    if stamp.get("python") != version:
        return f"its Python changed from {stamp.get('python')} to {version}"
    missing = [name for name in stamp.get("installed", []) if not os.path.isdir(name)]
    if missing:
        return f"{Path(missing[0]).name} was removed from it"
    return None


def stale(dev: bool) -> bool:
    stamp = read_stamp()
    return stamp.get("sources") != sources() or (dev and not stamp.get("dev"))


def read_stamp() -> dict:
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def interpreter_version() -> str | None:
    command = [str(PYTHON), "-c", "import pip, platform; print(platform.python_version())"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def sources() -> str:
    """A fingerprint of what gets installed; the settings of linters and tests change nothing about that."""
    project, _, _ = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("\n[tool.")
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return hashlib.sha256((project + constraints).encode()).hexdigest()


def rebuild() -> None:
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    elif VENV.exists():
        shutil.rmtree(VENV)
    venv.EnvBuilder(with_pip=True, symlinks=True).create(VENV)


def install(dev: bool) -> None:
    STAMP.unlink(missing_ok=True)  # a set-up that is cut short must not look finished
    extras = "[dev]" if dev else ""
    pip("--editable", f"{ROOT}{extras}")
    if dev:
        pip("--no-deps", "gpflow")  # an oracle for the tests; its NumPy 1 requirement is out of date
    stamp = {
        "venv": str(VENV),
        "python": interpreter_version(),
        "sources": sources(),
        "dev": dev,
        "installed": sorted(str(path) for path in VENV.glob("lib/python*/site-packages/*.dist-info")),
    }
    partial = STAMP.with_suffix(".partial")
    partial.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
    partial.replace(STAMP)


def pip(*arguments: str) -> None:
    """Install under the repository's constraints; pip's own message explains a failure."""
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--constraint", str(ROOT / "constraints.txt"), *arguments]
    if subprocess.run(command).returncode != 0:
        print(
            "pip could not install svgp (its message is above); run the same command again to retry",
            file=sys.stderr,
        )
        raise SystemExit(1)


if __name__ == "__main__":
    main()
