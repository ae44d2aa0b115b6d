import os
import socket

import pytest
from PIL import Image

from kgrow.task import Task
from kgrow.task.layout import read_layout
from kgrow.task.walk import LeftOut, list_images


def fill(path, classes=("blue", "red"), num_images=6):
    """Saves images of one color, a different one in each class."""
    for name in classes:
        folder = path / name
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(num_images):
            Image.new("RGB", (8, 8), (200, 10 * (ord(name[0]) % 20), index)).save(folder / f"{index}.png")
    return path


def told(path):
    return " ".join(read_layout(path).notes)


def images_of(layout, role="train"):
    return {file.name for file, _ in layout.splits[role].files}


@pytest.mark.parametrize("unlabeled", ["test", "Test", "test/test", "test/unknown", "val"])
def test_unlabeled_images_beside_a_training_folder_are_left_out_and_named(tmp_path, unlabeled):
    fill(tmp_path / "train")
    fill(tmp_path, classes=(unlabeled,))
    task = Task.of(tmp_path)
    assert task.class_names == ("blue", "red")
    assert sum(map(len, (task.train, task.validation, task.test))) == 12
    name = unlabeled.partition("/")[0]
    assert f"Left out 1 folder of images without a class: '{name}'." in " ".join(task.notes)


def test_labeled_splits_stay_when_another_one_has_no_labels(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "val")
    fill(tmp_path, classes=("test",))
    layout = read_layout(tmp_path)
    assert sorted(layout.splits) == ["train", "validation"]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("train", "test"), "named like splits: 'test', 'train'"),
        (("seg_train/seg_train", "seg_test/seg_test", "seg_pred"), "named like splits: 'seg_pred', 'seg_test'"),
        (("training_set/a", "training_set/b", "test_set"), "'training_set' and 'test_set' in .* without a class"),
        (("seg_train/a", "seg_train/b", "seg_pred", "other"), "the sub-folders 'train', 'test' and 'validation' alone"),
    ],
)
def test_splits_never_become_the_classes(tmp_path, classes, message):
    fill(tmp_path, classes)
    if "other" in classes:
        (tmp_path / "seg_pred").rename(tmp_path / "my_test")
    with pytest.raises(ValueError, match=f"^`source` must .*{message}"):
        Task.of(tmp_path)


def test_classes_one_level_deeper_are_found(tmp_path):
    fill(tmp_path / "archive" / "photos")
    (tmp_path / "archive" / "docs").mkdir()
    task = Task.of(tmp_path)
    assert task.class_names == ("blue", "red")
    assert task.notes[-1] == "Read the classes in 'archive/photos', the only folder with images."
    assert "Left out 1 folder without images: 'archive/docs'." in task.notes


def test_splits_one_level_deeper_are_found(tmp_path):
    fill(tmp_path / "archive" / "train")
    fill(tmp_path / "archive" / "test", num_images=2)
    assert len(Task.of(tmp_path).test) == 4


def test_classes_that_all_hold_the_same_folders_are_doubted(tmp_path):
    fill(tmp_path / "photos")
    fill(tmp_path / "masks")
    layout = read_layout(tmp_path)
    assert layout.splits["train"].class_names == ("masks", "photos")
    assert "Every class holds the same sub-folders, 'blue', 'red'" in " ".join(layout.notes)


def test_folders_without_images_are_left_out_and_named(tmp_path):
    fill(tmp_path)
    for name in ("__MACOSX/red", "docs", "yellow"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "__MACOSX" / "red" / "._0.png").write_bytes(b"resource fork")
    (tmp_path / "docs" / "read.me").write_text("")
    task = Task.of(tmp_path)
    assert task.class_names == ("blue", "red")
    assert "Left out 3 folders without images: '__MACOSX', 'docs', 'yellow'." in task.notes
    assert "Left out 1 file without the suffix of an image: 'docs/read.me'." in task.notes


@pytest.mark.parametrize("folder", ["", "train", "train/.."], ids=["flat", "in a split", "beside splits"])
def test_images_beside_the_folders_of_classes_are_left_out_and_named(tmp_path, folder):
    fill(tmp_path / folder.partition("/")[0])
    if folder:
        fill(tmp_path / "test")
    place = (tmp_path / folder).resolve()
    for name in ("cover.png", ".hidden.png"):
        Image.new("RGB", (8, 8)).save(place / name)
    name = (place / "cover.png").relative_to(tmp_path).as_posix()
    assert f"Left out 1 image that lies in no folder of a class: '{name}'." in Task.of(tmp_path).notes


def test_link_that_leads_astray_is_named_once(tmp_path):
    fill(tmp_path / "photos")
    (tmp_path / "photos" / "root").symlink_to("/")
    told = " ".join(Task.of(tmp_path / "photos").notes)
    assert told.count("root") == 1
    assert "Left out 1 link that could lead in circles or through the system: 'root'." in told


def test_own_runs_among_the_classes_change_nothing(tmp_path):
    before = Task.of(fill(tmp_path)).fingerprint
    for run in ("kgrow_runs/photos", "red/kgrow_runs/photos"):
        (tmp_path / run / "trials").mkdir(parents=True)
        (tmp_path / run / "kgrow.files").write_text("")
        Image.new("RGB", (8, 8)).save(tmp_path / run / "trials" / "plot.png")
    task = Task.of(tmp_path)
    assert task.fingerprint == before
    assert task.class_names == ("blue", "red")
    assert "Left out 2 folders of kgrow's own runs: 'kgrow_runs/photos', 'red/kgrow_runs/photos'." in task.notes


def test_own_runs_are_recognized_by_the_list_they_keep(tmp_path):
    from kgrow.run import Run

    fill(tmp_path)
    with Run.open(tmp_path / "kgrow_runs" / "photos", {}):
        assert "of kgrow's own runs: 'kgrow_runs/photos'" in told(tmp_path)


def test_links_to_folders_are_followed(tmp_path):
    elsewhere = fill(tmp_path / "elsewhere", classes=("a", "b"))
    data = fill(tmp_path / "data")
    (data / "red" / "more").symlink_to(elsewhere / "a")
    (data / "yellow").symlink_to(elsewhere / "b")
    layout = read_layout(data)
    assert layout.splits["train"].class_names == ("blue", "red", "yellow")
    assert len(layout.splits["train"].files) == 24
    assert layout.notes == ()


def test_links_never_lead_in_circles_or_through_the_system(tmp_path, monkeypatch):
    data = fill(tmp_path / "data")
    outside = fill(tmp_path / "outside", classes=("deep",))
    (outside / "deep" / "again").symlink_to(outside)
    targets = {"loop": data / "red", "up": data, "above": tmp_path, "top": "/", "system": "/proc/self", "usr": "/usr"}
    for name, target in targets.items():
        (data / "red" / name).symlink_to(target)
    (data / "root").symlink_to("/")
    (data / "blue" / "out").symlink_to(outside)
    visited = []
    listdir = os.listdir
    monkeypatch.setattr("kgrow.task.walk.os.listdir", lambda path: visited.append(str(path)) or listdir(path))

    layout = read_layout(data)

    assert layout.splits["train"].class_names == ("blue", "red")
    assert len(layout.splits["train"].files) == 18
    assert all(str(tmp_path) in path for path in visited)
    assert all(path.count("/red/") + path.count("/again/") == 0 or path.endswith("loop") for path in visited)
    notes = " ".join(layout.notes)
    for name in ("red/above", "red/system", "red/top", "red/up", "red/usr", "root", "blue/out/deep/again"):
        assert f"'{name}'" in notes
    assert "that could lead in circles or through the system" in notes


@pytest.mark.parametrize("path", ["/", "/proc", "/sys/class", "/tmp/.."])
def test_whole_system_is_no_data_set(path, monkeypatch):
    monkeypatch.setattr("kgrow.task.walk.os.listdir", None)
    with pytest.raises(ValueError, match=r"`source` must be .* which holds the whole system"):
        Task.of(path)


def test_pipes_sockets_and_broken_links_are_named_and_never_opened(tmp_path, monkeypatch):
    fill(tmp_path)
    os.mkfifo(tmp_path / "red" / "pipe.png")
    (tmp_path / "red" / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "red" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    monkeypatch.chdir(tmp_path / "red")  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("listener.png")
    monkeypatch.chdir(tmp_path)
    task = Task.of(tmp_path)  # opening the pipe would wait for ever
    note = "Left out 4 special files such as a pipe, a device or a broken link: 'red/gone.png', 'red/listener.png'"
    assert any(note in told for told in task.notes)


def test_folders_that_cannot_be_opened_are_named(tmp_path, monkeypatch):
    fill(tmp_path, classes=("blue", "red", "red/private", "secret"))
    listdir = os.listdir

    def refuse(path):
        if str(path).endswith(("private", "secret")):
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr("kgrow.task.walk.os.listdir", refuse)
    task = Task.of(tmp_path)
    assert task.class_names == ("blue", "red")
    assert "Left out 2 folders that could not be opened: 'red/private', 'secret'." in task.notes


def test_test_data_tells_what_it_leaves_out(tmp_path):
    fill(tmp_path / "all")
    fill(tmp_path / "extra", num_images=2)
    (tmp_path / "extra" / "docs").mkdir()
    task = Task.of(tmp_path / "all", test_data=tmp_path / "extra")
    assert task.notes == ("`test_data`: Left out 1 folder without images: 'docs'.",)


def test_walk_is_in_the_order_of_names(tmp_path):
    fill(tmp_path, classes=("c/b", "c/a", "c"), num_images=2)
    names = [path.relative_to(tmp_path / "c").as_posix() for path in list_images(tmp_path / "c", LeftOut(tmp_path))]
    assert names == ["0.png", "1.png", "a/0.png", "a/1.png", "b/0.png", "b/1.png"]
