"""When scripts/setup makes .venv anew, and when it leaves it alone."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/environment.py, working on a checkout of its own with a `.venv` that is in order."""
    spec = importlib.util.spec_from_file_location("environment", ROOT / "scripts/environment.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    venv = tmp_path / "with space" / ".venv"
    package = venv / "lib/python3/site-packages/numpy-2.dist-info"
    package.mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "bin/python").symlink_to(sys.executable)
    for name, text in (
        ("pyproject.toml", '[project]\nname = "a"\n\n[tool.ruff]\n'),
        ("constraints.txt", "a==1\n"),
    ):
        (venv.parent / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(module, "ROOT", venv.parent)
    monkeypatch.setattr(module, "VENV", venv)
    monkeypatch.setattr(module, "STAMP", venv / "svgp-setup.json")
    monkeypatch.setattr(module, "PYTHON", venv / "bin/python")
    stamp(module, dev=True, installed=[str(package)])
    return module


def stamp(module: ModuleType, **changed: object) -> None:
    known = {"venv": str(module.VENV), "python": module.interpreter_version(), "sources": module.sources()}
    before = json.loads(module.STAMP.read_text()) if module.STAMP.exists() else {}
    module.STAMP.write_text(json.dumps({**before, **known, **changed}), encoding="utf-8")


def test_what_is_in_order_is_left_alone(environment):
    assert environment.broken() is None
    assert not environment.stale(dev=True) and not environment.stale(dev=False)


def test_none_yet(environment):
    subprocess.run(["rm", "-r", str(environment.VENV)], check=True)
    assert "none yet" in environment.broken()


@pytest.mark.parametrize("text", [None, "", "[]", "{"])
def test_a_set_up_that_did_not_finish(environment, text):
    environment.STAMP.unlink() if text is None else environment.STAMP.write_text(text)
    assert "did not finish" in environment.broken()


def test_a_moved_folder(environment):
    stamp(environment, venv="/elsewhere/.venv")
    assert "moved" in environment.broken()


@pytest.mark.parametrize("target", ["/nowhere/python3", "/bin/false"])
def test_a_broken_interpreter(environment, target):
    environment.PYTHON.unlink()
    environment.PYTHON.symlink_to(target)
    assert "does not start" in environment.broken()


def test_another_python(environment):
    stamp(environment, python="3.9.1")
    assert "changed from 3.9.1" in environment.broken()


def test_a_package_that_was_removed(environment):
    next(environment.VENV.glob("lib/*/site-packages/*")).rmdir()
    assert "numpy-2.dist-info was removed" in environment.broken()


@pytest.mark.parametrize(
    ("name", "text", "stale"),
    [
        ("constraints.txt", "a==2\n", True),
        ("pyproject.toml", '[project]\nname = "b"\n\n[tool.ruff]\n', True),
        ("pyproject.toml", '[project]\nname = "a"\n\n[tool.ruff]\nline-length = 88\n', False),
    ],
)
def test_only_what_is_installed_makes_it_stale(environment, name, text, stale):
    (environment.ROOT / name).write_text(text, encoding="utf-8")
    assert environment.stale(dev=False) is stale
    assert environment.broken() is None


def test_the_tests_need_more_than_the_quickstart(environment):
    stamp(environment, dev=False)
    assert environment.stale(dev=True) and not environment.stale(dev=False)


def test_setup_without_a_usable_python_says_what_to_do(tmp_path):
    """A PATH with nothing but what the script itself calls."""
    for tool in ("bash", "dirname"):
        found = subprocess.run(
            ["bash", "-c", f"command -v {tool}"], capture_output=True, text=True, check=True
        )
        (tmp_path / tool).symlink_to(found.stdout.strip())
    script = str(ROOT / "scripts/setup")
    done = subprocess.run(
        [str(tmp_path / "bash"), script], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "No Python 3.10, 3.11, 3.12 or 3.13" in done.stderr


def test_setup_names_the_package_that_venv_comes_in(tmp_path):
    (tmp_path / "python3").write_text(
        '#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; *print*) echo 3.12;; *) exit 0;; esac\n',
        encoding="utf-8",
    )
    (tmp_path / "python3").chmod(0o755)
    for tool in ("bash", "dirname", "sh"):
        found = subprocess.run(
            ["bash", "-c", f"command -v {tool}"], capture_output=True, text=True, check=True
        )
        (tmp_path / tool).symlink_to(found.stdout.strip())
    script = str(ROOT / "scripts/setup")
    done = subprocess.run(
        [str(tmp_path / "bash"), script], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "sudo apt install python3.12-venv" in done.stderr
