import numpy as np
import pytest

from kgrow.config.rules import check_class_weight
from kgrow.lifecycle import Preset, Settings
from kgrow.lifecycle.class_weights import chosen_class_weights
from kgrow.pruning import Magnitude

NAMES = ("good", "scratch", "dent")
RARE, EVEN = np.repeat([0, 1, 2], [285, 10, 5]), np.repeat([0, 1, 2], [30, 20, 10])


def test_classes_beyond_three_to_one_are_balanced_by_default():
    weights = chosen_class_weights("auto", NAMES, RARE)
    assert weights == pytest.approx((300 / 3 / 285, 300 / 3 / 10, 300 / 3 / 5))
    assert chosen_class_weights("auto", NAMES, EVEN) is None
    assert chosen_class_weights("balanced", NAMES, EVEN) == pytest.approx((2 / 3, 1, 2))


@pytest.mark.parametrize("given", ["none", None, {}, {"good": 2, "scratch": 2, 2: 2.0}])
def test_all_images_count_alike_on_request(given):
    assert chosen_class_weights(given, NAMES, RARE) is None


@pytest.mark.parametrize("key", ["dent", 2, np.int64(2)])
def test_weights_may_be_given_by_name_or_index_and_keep_the_mean_loss(key):
    weights = np.array(chosen_class_weights({key: 5.0}, NAMES, EVEN))
    assert weights.tolist() == pytest.approx([0.6, 0.6, 3.0])
    assert weights[EVEN].mean() == pytest.approx(1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dint": 1}, "must have names or numbers of classes as keys, but got 'dint'. Did you mean 'dent'"),
        ({3: 1}, "but got 3"),
        ({-1: 1}, "but got -1"),
        ({True: 1}, "but got True"),
    ],
)
def test_a_wrong_class_weight_is_refused(given, message):
    with pytest.raises(ValueError, match=f"^`class_weight` .*{message}"):
        chosen_class_weights(given, NAMES, RARE)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("balance", "`class_weight` must be one of .* but got 'balance'. Did you mean 'balanced'"),
        (["balanced"], "`class_weight` must be one of 'auto', 'balanced', 'none', but got"),
        ({"dent": 0}, "`class_weight['dent']` must be .*, but got 0"),
        ({"dent": float("nan")}, "`class_weight['dent']` must be .*, but got nan"),
        ({"dent": "much"}, "`class_weight['dent']` must be .*, but got 'much'"),
    ],
)
def test_a_class_weight_of_a_wrong_kind_is_refused_before_the_data_are_read(given, message):
    with pytest.raises(ValueError, match=message.replace("[", r"\[").replace("]", r"\]")):
        check_class_weight(given, "class_weight")


def test_weights_are_said_with_the_way_to_turn_them_off():
    (note,) = Settings(Preset(epochs=1), Magnitude(), class_weights=(0.35088, 10.0, 20.0)).notes
    assert note.startswith("The training loss counts an image 0.351 to 20 times, by its class.")
    assert "--class-weight none" in note
    assert Settings(Preset(epochs=1), Magnitude()).notes == ()
