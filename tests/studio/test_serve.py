"""`kgrow studio` on the command line."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from kgrow import cli


def test_without_its_packages_the_extra_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert cli.main(["studio", "--out", str(tmp_path), "--no-open"]) == cli.FAILED
    assert "pip install 'kgrow[studio]'" in capsys.readouterr().err


class TestWithItsPackages:
    @pytest.fixture(autouse=True)
    def _packages(self):
        pytest.importorskip("starlette", reason="the extra `studio` is not installed")
        pytest.importorskip("uvicorn", reason="the extra `studio` is not installed")

    def test_port_in_use_is_named(self, capsys, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert cli.main(["studio", "--out", str(tmp_path), "--port", str(port), "--no-open"]) == cli.FAILED
        said = capsys.readouterr().err
        assert f"but {port} cannot be used" in said
        assert "another `--port`" in said

    @pytest.mark.parametrize("port", ["-1", "65536"])
    def test_port_that_is_none_is_named(self, capsys, tmp_path, port):
        assert cli.main(["studio", "--out", str(tmp_path), "--port", port, "--no-open"]) == cli.BAD_USAGE
        assert f"`--port` must be in [0, 65535], but got {port}" in capsys.readouterr().err

    def test_file_as_directory_is_named(self, capsys, tmp_path):
        (tmp_path / "runs").touch()
        assert cli.main(["studio", "--out", str(tmp_path / "runs"), "--no-open"]) == cli.BAD_USAGE
        assert "`--out` must be a directory" in capsys.readouterr().err

    @pytest.mark.skipif(sys.platform == "win32", reason="its interrupts are others")
    def test_it_prints_its_address_without_a_screen_and_ends_quietly(self, tmp_path):
        command = [sys.executable, "-m", "kgrow", "studio", "--out", str(tmp_path / "runs")]
        # A search path alone: there is no screen in it, nor a browser.
        environment = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "PYTHON"))}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
            lines = [process.stderr.readline() for _ in range(4)]
            address = lines[1].strip()
            with urllib.request.urlopen(address, timeout=10) as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
        assert process.returncode == 0
        assert address.startswith("http://127.0.0.1:")
        assert "No browser could be opened" in lines[3]
        assert rest.endswith("The studio has ended.\n")
        assert "Traceback" not in rest
