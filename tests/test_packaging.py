"""What is installed is what is there."""

import configparser
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_package_is_listed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = setup["options"]["packages"].split()
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "kgrow").rglob("__init__.py")}
    assert set(listed) == found | {"kgrow_device"}
    assert (ROOT / setup["options"]["package_dir"].split("=")[1].strip() / "run.py").is_file()
