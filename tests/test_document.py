"""What a result says of classes and of always answering the largest one, from answers alone."""

import numpy as np
import pytest

from kgrow.document import baseline_document, candidate_document, classes_document
from kgrow.searching.trial import Trial
from kgrow.task import Split, Task


def split(*sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    return Split(np.zeros((len(labels), 4, 4, 1), np.uint8), labels)


@pytest.fixture
def lopsided():
    """285, 10 and 5 images."""
    return Task("lopsided", split(199, 7, 3), split(43, 2, 1), split(43, 1, 1), ("many", "some", "few"))


def test_always_answering_the_largest_class_is_not_beaten_by_a_network_that_does_the_same(lopsided):
    found = baseline_document(lopsided, 43 / 45)
    assert found == {"class": "many", "test_accuracy": 43 / 45, "is_beaten": False}
    assert not baseline_document(lopsided, 44 / 45)["is_beaten"]  # one image more is chance
    balanced = Task("balanced", split(60, 60), split(20, 20), split(20, 20), ("a", "b"))
    assert not baseline_document(balanced, 0.55)["is_beaten"]
    assert baseline_document(balanced, 0.75)["is_beaten"]


def test_classes_have_their_images_and_the_recall_of_the_test_images(lopsided):
    many, some, few = classes_document(lopsided, np.zeros(45, np.int64))
    assert (many["name"], many["num_train"], many["num_validation"], many["num_test"]) == ("many", 199, 43, 43)
    assert [entry["recall"] for entry in (many, some, few)] == [1.0, 0.0, 0.0]
    assert [entry["has_few_test_images"] for entry in (many, some, few)] == [False, True, True]
    assert many["recall_interval"] == pytest.approx([0.918, 1.0], abs=5e-4)


def test_class_without_test_images_has_no_recall():
    task = Task("gap", split(5, 5), split(2, 2), split(4, 0), ("seen", "unseen"))
    seen, unseen = classes_document(task, np.array([0, 0, 0, 1]))
    assert seen["recall"] == 0.75
    assert (unseen["num_test"], unseen["recall"], unseen["recall_interval"]) == (0, None, None)
    assert unseen["has_few_test_images"]


@pytest.mark.parametrize(("estimated", "expected"), [(False, [0.4118, 0.6906]), (True, None)])
def test_exact_accuracy_of_a_candidate_has_an_interval(estimated, expected):
    costs = dict.fromkeys(("prunable_params", "kept_params", "macs", "flash_bytes", "ram_bytes", "epochs"), 1)
    trial = Trial("0000", (0.5,), {}, "done", 25 / 45, 25 / 45, **costs, estimated=estimated)
    found = candidate_document(trial, 45)["val_accuracy_interval"]
    assert found == (expected and pytest.approx(expected, abs=5e-4))
