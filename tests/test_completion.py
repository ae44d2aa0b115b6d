"""A shell completes commands, options, names and paths."""

import shutil
import subprocess

import pytest

from kgrow import cli
from kgrow.arguments import SHELLS

ASK = """
source ./script
COMP_WORDS=({words})
COMP_CWORD={last}
_shtab_kgrow 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def proposed(tmp_path, capsys):
    """Returns what bash proposes for the last of some words."""
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    assert cli.main(["completion", "bash"]) == cli.DONE
    (tmp_path / "script").write_text(capsys.readouterr().out)

    def ask(*words):
        quoted = " ".join(repr(word) for word in words)
        script = ASK.format(words=quoted, last=len(words) - 1)
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    return ask


def test_commands_options_and_names_are_proposed(proposed):
    assert {"search", "compress", "export", "report"} <= proposed("kgrow", "")
    assert proposed("kgrow", "com") == {"compare", "completion", "compress"}
    assert {"--device", "--max-time", "--criterion"} <= proposed("kgrow", "search", "digits", "--")
    assert "snip" in proposed("kgrow", "search", "digits", "--criterion", "s")
    assert "market" in proposed("kgrow", "search", "digits", "--growth", "")
    assert "--start" not in proposed("kgrow", "compress", "model.keras", "digits", "--st")


def test_files_and_directories_are_proposed_where_they_are_wanted(proposed, tmp_path):
    (tmp_path / "model.keras").touch()
    (tmp_path / "photos").mkdir()
    assert "model.keras" in proposed("kgrow", "compress", "mod")
    assert "photos" in {name.rstrip("/") for name in proposed("kgrow", "search", "ph")}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script(shell, capsys):
    assert cli.main(["completion", shell]) == cli.DONE
    assert "kgrow" in capsys.readouterr().out


def test_without_its_package_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == cli.FAILED
    assert "pip install 'kgrow[completion]'" in capsys.readouterr().err
