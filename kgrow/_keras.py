"""The only module that imports TensorFlow and Keras.

Layers of Keras 2 alone can be wrapped for pruning, and the first access to ``tf.keras`` decides which Keras the whole
process uses.
kgrow therefore takes `tf_keras` by its own name, and every other module says ``from kgrow._keras import keras, tf``.

TensorFlow enables oneDNN by default on some Intel processors only. On an AMD processor with AVX2 training takes half
the time with it, so it is enabled everywhere; TF_ENABLE_ONEDNN_OPTS=0 in the environment disables it.
"""

import contextlib
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Iterator

_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
_comes_too_late = "tensorflow" in sys.modules and _ONEDNN not in os.environ  # TensorFlow reads it once
os.environ.setdefault(_ONEDNN, "1")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keeps native code's output to standard error off the terminal, unless the body fails.

    TensorFlow, its converter and the interpreters log from C++ before any Python setting is read; only redirecting the
    file descriptor silences them. When the body raises, the held-back output is written first.
    """
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all, as under pythonw or a daemon
        yield
        return
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except Exception:
            os.dup2(saved, 2)
            held_back.seek(0)
            os.write(2, held_back.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)


def use_one_thread() -> None:
    """Lets TensorFlow compute each operation with one thread for the rest of this process, unless it has begun.

    With several, the operations of a small network wait for threads longer than they compute. A number of threads in
    TF_NUM_INTRAOP_THREADS stands.
    """
    if "TF_NUM_INTRAOP_THREADS" not in os.environ:
        with contextlib.suppress(RuntimeError):  # it has computed something already
            tf.config.threading.set_intra_op_parallelism_threads(1)


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """Builds networks and optimizers in float32 with channels last, regardless of the Keras defaults.

    A `keras.json`, `set_floatx` and `mixed_precision.set_global_policy` apply to the whole process; a layer uses the
    values that are set when it is created.
    """
    backend, precision = keras.backend, keras.mixed_precision
    data_format, floatx = backend.image_data_format(), backend.floatx()
    backend.set_image_data_format("channels_last")
    backend.set_floatx("float32")
    policy = precision.global_policy()  # follows floatx unless it was set
    is_set = policy.name != "float32"
    if is_set:
        precision.set_global_policy("float32")
    try:
        yield
    finally:
        if is_set:
            precision.set_global_policy(policy)
        backend.set_floatx(floatx)
        backend.set_image_data_format(data_format)


with quiet_stderr(), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tensorflow as tf
    import tf_keras as keras
    from tensorflow.python.util import _pywrap_util_port  # the only place that reports it

tf.get_logger().setLevel("ERROR")
if _comes_too_late and platform.machine() in ("x86_64", "AMD64") and not _pywrap_util_port.IsMklEnabled():
    warnings.warn(
        "TensorFlow was imported before kgrow, with oneDNN off: training may take twice as long. Set "
        f"{_ONEDNN}=1 in the environment before TensorFlow is imported, or 0 to keep it off.",
        stacklevel=2,
    )

__all__ = ["keras", "pinned", "quiet_stderr", "tf", "use_one_thread"]
