"""What the whole process is told about Keras changes nothing here."""

import pytest

import kgrow
from kgrow._keras import keras, pinned
from kgrow.density import search_density


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
        tiny_task, space=tiny_space, trials=1, epochs=3, batch_size=16, keep_ratio=0.5, directory=tmp_path, verbose=0
    )
    assert {values.dtype.name for values in result.network.state().values()} == {"float32"}
    assert result.document["best"]["artefacts"][0]["max_abs_diff"] < 1e-3
    loaded = kgrow.load(result.directory, tiny_task)
    loaded.export(tmp_path / "small.tflite", quantize="float16")
    assert settings() == ("channels_first", "float16", "mixed_float16")
