"""What is installed is what is there."""

import configparser
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_every_package_is_listed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = setup["options"]["packages"].split()
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "kgrow").rglob("__init__.py")}
    assert set(listed) == found | {"kgrow_device"}
    assert (ROOT / setup["options"]["package_dir"].split("=")[1].strip() / "run.py").is_file()


@pytest.mark.slow
def test_projects_for_devices_are_in_the_source_distribution_and_not_in_the_packages(tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "setuptools>=77"], check=True)
    copy = tmp_path / "copy"
    shutil.copytree(
        ROOT, copy, ignore=shutil.ignore_patterns(".git", ".*_cache", "__pycache__", "*.egg-info", "kgrow_runs")
    )
    build = "import setuptools.build_meta as backend; backend.build_sdist('.'); backend.build_wheel('.')"
    subprocess.run([python, "-c", build], cwd=copy, capture_output=True, check=True)
    with tarfile.open(next(copy.glob("*.tar.gz"))) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    examples = ROOT / "export" / "examples"
    files = {path for path in examples.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {path.relative_to(ROOT).as_posix() for path in files} <= sources
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", next(copy.glob("*.whl"))], capture_output=True, text=True, check=True
    ).stdout
    assert "kgrow_device/run.py" in listed
    assert "examples" not in listed
