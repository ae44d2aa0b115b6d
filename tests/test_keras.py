"""TensorFlow comes in through one module, with oneDNN on and whatever else the process is told about Keras left out."""

import os
import subprocess
import sys

import pytest

import kgrow
from kgrow._keras import keras, pinned
from kgrow.density import search_density

REPORT = """
import os, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    {imports}
from tensorflow.python.util import _pywrap_util_port
said = [str(w.message) for w in caught if "oneDNN off" in str(w.message)]
print(os.environ["TF_ENABLE_ONEDNN_OPTS"], _pywrap_util_port.IsMklEnabled(), len(said))
"""


def reported(imports, **variables):
    """Returns the environment variable, whether oneDNN is on, and how many warnings say that it is off."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    script = REPORT.format(imports=imports)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment | variables, stdout=subprocess.PIPE, text=True, check=True
    )
    variable, is_on, num_warnings = done.stdout.split()
    return variable, is_on == "True", int(num_warnings)


@pytest.mark.slow
def test_onednn_is_on_wherever_tensorflow_has_it():
    variable, is_on, num_warnings = reported("import kgrow._keras")
    assert (variable, num_warnings) == ("1", 0)
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        assert is_on


@pytest.mark.slow
@pytest.mark.parametrize("value", ["0", "1"])
def test_what_the_user_says_about_onednn_stands(value):
    variable, is_on, num_warnings = reported("import kgrow._keras", TF_ENABLE_ONEDNN_OPTS=value)
    assert (variable, num_warnings) == (value, 0)
    assert not (value == "0" and is_on)


@pytest.mark.slow
def test_tensorflow_that_was_imported_before_without_onednn_is_told_once():
    _, is_on, num_warnings = reported("import tensorflow; import kgrow._keras; import kgrow.network")
    assert num_warnings == (0 if is_on or not sys.platform.startswith(("linux", "win")) else 1)


def settings():
    return keras.backend.image_data_format(), keras.backend.floatx(), keras.mixed_precision.global_policy().name


@pytest.fixture
def _set_otherwise():
    """As a `keras.json` and a notebook may leave Keras."""
    keras.backend.set_image_data_format("channels_first")
    keras.backend.set_floatx("float16")
    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    keras.mixed_precision.set_global_policy("float32")
    keras.backend.set_floatx("float32")
    keras.backend.set_image_data_format("channels_last")


@pytest.mark.usefixtures("_set_otherwise")
def test_settings_are_put_back_after_an_error_too():
    with pinned():
        assert settings() == ("channels_last", "float32", "float32")
    with pytest.raises(KeyError), pinned():
        raise KeyError
    assert settings() == ("channels_first", "float16", "mixed_float16")


def test_policy_that_follows_floatx_goes_on_to_follow_it():
    keras.mixed_precision.set_global_policy(None)
    keras.backend.set_floatx("float64")
    try:
        with pinned():
            assert settings()[1:] == ("float32", "float32")
        assert settings()[1:] == ("float64", "float64")
    finally:
        keras.backend.set_floatx("float32")
    assert settings()[2] == "float32"


@pytest.mark.parametrize("search", [kgrow.search, search_density])
@pytest.mark.usefixtures("_set_otherwise")
def test_searches_run_with_settings_of_their_own(search, tmp_path):
    class Probe:
        """A sequence that tells what Keras is set to while it is read."""

        def __len__(self):
            return 1

        def __getitem__(self, index):
            raise KeyError(settings())

    with pytest.raises(KeyError, match=r"'channels_last', 'float32', 'float32'"):
        search(Probe(), directory=tmp_path, verbose=0)
    assert settings() == ("channels_first", "float16", "mixed_float16")


@pytest.mark.slow
@pytest.mark.usefixtures("_set_otherwise")
def test_search_load_and_export_follow_no_global_setting(tiny_task, tiny_space, tmp_path):
    result = kgrow.search(
        tiny_task,
        space=tiny_space,
        trials=1,
        epochs=3,
        training={"batch_size": 16},
        pruning={"keep_ratio": 0.5},
        config={"export": "float32"},
        directory=tmp_path,
        verbose=0,
    )
    assert {values.dtype.name for values in result.network.state().values()} == {"float32"}
    assert result.document["best"]["artefacts"][0]["max_abs_diff"] < 1e-3
    loaded = kgrow.load(result.directory, tiny_task)
    loaded.export(tmp_path / "small.tflite", quantize="float16")
    assert settings() == ("channels_first", "float16", "mixed_float16")
