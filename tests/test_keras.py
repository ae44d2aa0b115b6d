"""TensorFlow comes in through one module, with oneDNN on."""

import os
import subprocess
import sys

import pytest

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


def test_onednn_is_on_wherever_tensorflow_has_it():
    variable, is_on, num_warnings = reported("import kgrow._keras")
    assert (variable, num_warnings) == ("1", 0)
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        assert is_on


@pytest.mark.parametrize("value", ["0", "1"])
def test_what_the_user_says_about_onednn_stands(value):
    variable, is_on, num_warnings = reported("import kgrow._keras", TF_ENABLE_ONEDNN_OPTS=value)
    assert (variable, num_warnings) == (value, 0)
    assert not (value == "0" and is_on)


def test_tensorflow_that_was_imported_before_without_onednn_is_told_once():
    _, is_on, num_warnings = reported("import tensorflow; import kgrow._keras; import kgrow.network")
    assert num_warnings == (0 if is_on or not sys.platform.startswith(("linux", "win")) else 1)
