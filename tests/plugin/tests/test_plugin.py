"""What another package adds keeps the contracts, and is found by its name: run where it is installed."""

import json

import numpy as np
from kgrow_plugin_example.bfloat16 import BFloat16
from kgrow_plugin_example.broaden import Broaden
from kgrow_plugin_example.ladder import Ladder
from kgrow_plugin_example.lamp import LAMP
from kgrow_plugin_example.softshrink import SoftShrink

from kgrow import cli
from kgrow.config import Config
from kgrow.registry import CRITERIA, EXPORTERS, OPERATORS, POLICIES, SPACES
from kgrow.testing import (
    CriterionContract,
    ExporterContract,
    OperatorContract,
    PolicyContract,
    SpaceContract,
)


class TestLAMP(CriterionContract):
    criterion = LAMP()


class TestBroaden(PolicyContract):
    policy = Broaden()

    def test_network_is_widened_once(self, lived):
        assert [event["event"] for event in lived.events].count("widened") == 1


class TestLadder(SpaceContract):
    space = Ladder()


class TestBFloat16(ExporterContract):
    exporter = BFloat16()


class TestSoftShrink(OperatorContract):
    operator = SoftShrink(0.3)
    shapes = ((6, 5, 3),)


def test_operator_is_found_by_its_kind():
    assert OPERATORS["soft_shrink"] is SoftShrink


def test_names_are_those_of_the_entry_points():
    assert (CRITERIA["lamp"](3), SPACES["ladder"], EXPORTERS["bfloat16"]) == (LAMP(), Ladder(), BFloat16())
    assert POLICIES["broaden"] == Broaden()
    config = Config.of({"pruning": LAMP(), "growth": Ladder(widths=(1.0,))})
    assert config.to_json()["pruning"]["criterion"] == {"name": "lamp"}
    assert config.to_json()["growth"]["space"] == {"name": "ladder", "widths": [1.0]}


def test_options_take_the_names(tmp_path, capsys):
    run, options = (
        tmp_path / "run",
        ["--criterion", "lamp", "--space", "ladder", "--growth", "broaden", "--keep-ratio", "0.5"],
    )
    assert cli.main(["search", "digits", "--epochs", "3", "--trials", "1", *options, "--out", str(run)]) == cli.DONE
    config = json.loads((run / "config.json").read_text())["config"]
    assert (config["criterion"], config["growth"]) == ("LAMP()", "Broaden(gain=0.3, times=1)")
    file = tmp_path / "small.tflite"
    exported = ["export", str(run), "--quantize", "bfloat16", "--max-drop", "100", "--out", str(file)]
    assert cli.main(exported) == cli.DONE, capsys.readouterr().err
    assert np.frombuffer(file.read_bytes()[4:8], "S4") == b"TFL3"
