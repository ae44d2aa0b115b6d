"""Tests of what TensorBoard's HParams page is given."""

import pytest

from kgrow.reporting.hparams import FIGURES, FOLDER, write_hparams

pytest.importorskip("tensorboard")


def trial(name, accuracy):
    figures = dict.fromkeys(FIGURES, 3) | {"val_accuracy": accuracy}
    return {"trial": name, "values": {"depth": 2, "width": 0.5, "block_0/keep_ratio": 0.25}, "epochs": 7, **figures}


def test_each_trial_with_an_accuracy_has_its_values_and_figures(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    write_hparams(tmp_path, [trial("0000", 0.75), trial("0001", None)])
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["0000"]
    log = EventAccumulator(str(tmp_path / FOLDER / "0000"))
    log.Reload()
    content = log.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    given = HParamsPluginData.FromString(content).session_start_info.hparams
    assert given["block_0/keep_ratio"].number_value == 0.25
    assert set(log.Tags()["tensors"]) >= set(FIGURES)
