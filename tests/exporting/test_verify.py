"""What quantization may cost: a paired comparison with its standard error."""

import numpy as np
import pytest

from kgrow.exporting.exporter import Exporter
from kgrow.exporting.int8 import Int8
from kgrow.exporting.verify import ExportError, advice, check_drop, lost_images


def lost_of(num_lost, num_images, num_won=0):
    lost = np.zeros(num_images)
    lost[:num_lost], lost[num_lost : num_lost + num_won] = 1, -1
    return lost


def test_images_count_by_who_alone_is_right():
    expected, found, labels = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([0, 0, 0, 0])
    assert lost_images(expected, found, labels).tolist() == [0, 1, -1, 0]


def test_one_of_sixty_images_is_no_proof_of_a_loss():
    check_drop(lost_of(1, 60), 0.01, "int8", str)
    check_drop(lost_of(3, 60, num_won=2), 0.01, "int8", str)
    with pytest.raises(ExportError, match=r"costs 8\.33, with a standard error of 3\.6, on 60 images"):
        check_drop(lost_of(5, 60), 0.01, "int8", str)


def test_many_images_prove_a_small_loss():
    check_drop(lost_of(200, 10_000), 0.02, "int8", str)
    with pytest.raises(ExportError, match=r"costs 2, with a standard error of 0\.14"):
        check_drop(lost_of(200, 10_000), 0.01, "int8", str)


def test_refusal_names_the_worst_layer_and_the_way_out():
    def hurt_most():
        return advice({"block_0/cell_0/first": 0.1, "block_1/cell_1/first": 0.2}, Int8().remedy)

    with pytest.raises(ExportError) as caught:
        check_drop(np.ones(10), 0.01, "int8", hurt_most)
    for part in ("most is block_1/", "`fine_tune_epochs=3` (--fine-tune-epochs 3)", "raise `max_drop` (--max-drop"):
        assert part in str(caught.value)


def test_fine_tuning_that_did_not_help_is_not_advised_again():
    remedy = Int8(tune=lambda quantized: None).remedy
    assert "--fine-tune-epochs" not in remedy
    assert "--quantize dynamic" in remedy
    assert isinstance(Int8(), Exporter)
