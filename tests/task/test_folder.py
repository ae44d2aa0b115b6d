import numpy as np
import pytest
from PIL import Image

from kgrow.task import Augmentation, Task
from kgrow.task.pictures import decode, survey

RED, BLUE, GRAY = (200, 30, 30), (30, 30, 200), (90, 90, 90)


def save(path, color=RED, size=(12, 10), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).convert(mode).save(path, **options)


def fill(path, classes=("blue", "red"), num_images=10, **options):
    for name in classes:
        for index in range(num_images):
            save(path / name / f"{index}.png", BLUE if name == "blue" else RED, **options)
    return path


def test_sub_folders_are_the_classes(tmp_path):
    task = Task.of(fill(tmp_path / "colors"))
    assert task.name == "colors"
    assert task.class_names == ("blue", "red")
    assert task.input_shape == (10, 12, 3)
    assert task.notes == ()
    assert (len(task.train), len(task.validation), len(task.test)) == (13, 3, 4)
    for split in (task.train, task.validation, task.test):
        expected = np.array([BLUE, RED], np.uint8)[split.labels]
        np.testing.assert_array_equal(split.images, np.broadcast_to(expected[:, None, None], split.images.shape))
    assert Augmentation.suited_to(task).flip


def test_strings_paths_and_class_names_work_alike(tmp_path):
    fill(tmp_path)
    assert Task.of(str(tmp_path)).fingerprint == Task.of(tmp_path).fingerprint
    task = Task.of(tmp_path, class_names=["red", "blue"])
    assert task.class_names == ("red", "blue")
    assert task.test.images[task.test.labels == 0][0, 0, 0].tolist() == list(RED)
    with pytest.raises(ValueError, match=r"`class_names` must be the names of the class folders, \['blue', 'red'\]"):
        Task.of(tmp_path, class_names=["red", "green"])


def test_mixed_sizes_modes_and_a_corrupt_file_are_read_and_told(tmp_path):
    fill(tmp_path)
    save(tmp_path / "red" / "gray.jpg", GRAY, mode="L")
    save(tmp_path / "red" / "alpha.png", mode="RGBA")
    save(tmp_path / "red" / "palette.gif", mode="P")
    save(tmp_path / "red" / "nested" / "large.webp", size=(120, 100), lossless=True)
    save(tmp_path / "blue" / "small.bmp", BLUE, size=(6, 3))
    (tmp_path / "blue" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    whole = (tmp_path / "red" / "0.png").read_bytes()
    (tmp_path / "blue" / "cut.png").write_bytes(whole[: len(whole) // 2])
    save(tmp_path / "blue" / "exif.jpg", exif=b"Exif\0\0II*\0", dpi=(72, 72))  # the orientation is cut off
    (tmp_path / "blue" / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").mkdir()

    task = Task.of(tmp_path)

    assert task.input_shape == (10, 12, 3)
    assert sum(len(split) for split in (task.train, task.validation, task.test)) == 25
    assert len(task.notes) == 3
    told = " ".join(task.notes)
    assert "Resized 2 images to 10x12 (the median size" in told
    assert "Skipped 3 image files that could not be read: 'blue/broken.png', 'blue/cut.png', 'blue/exif.jpg'." in told
    assert "Left out 1 file without the suffix of an image: 'blue/notes.txt'." in told


def test_large_images_are_reduced_to_96_pixels(tmp_path):
    fill(tmp_path, size=(300, 150), num_images=3)
    task = Task.of(tmp_path)
    assert task.input_shape == (48, 96, 3)
    assert any("Resized 6 images to 48x96" in note for note in task.notes)
    assert Task.of(tmp_path, image_size=(20, 30)).input_shape == (20, 30, 3)


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", "png"), ("L", "jpg"), ("RGB", "jpg"), ("RGBA", "png"), ("L", "gif")]
)
def test_gray_images_stay_gray_however_they_are_stored(tmp_path, mode, suffix):
    for index in range(8):
        save(tmp_path / "ab"[index % 2] / f"{index}.{suffix}", (20 * index,) * 3, mode=mode)
    task = Task.of(tmp_path)
    assert task.input_shape == (10, 12, 1)
    assert "All training images are gray: one channel." in task.notes
    assert not Augmentation.suited_to(task).flip


def test_sixteen_bits_become_eight(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 257, 65535, 32896]], np.uint16)).save(path)
    np.testing.assert_array_equal(decode(path, False)[..., 0], [[0, 1, 255, 128]])
    np.testing.assert_array_equal(decode(path, True)[0, 3], [128, 128, 128])
    assert survey([path]) == ([(1, 4)], False)


def test_transparent_pixels_become_white(tmp_path):
    path = tmp_path / "clear.png"
    Image.fromarray(np.array([[[9, 9, 9, 0], [9, 9, 9, 255]]], np.uint8)).save(path)
    np.testing.assert_array_equal(decode(path, True)[0], [[255] * 3, [9] * 3])
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([40, 50, 60, 70, 80, 90])
    palette.save(path, transparency=0)
    np.testing.assert_array_equal(decode(path, True)[0], [[255] * 3, [70, 80, 90]])


def test_orientation_noted_by_the_camera_is_followed(tmp_path):
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[0, 0] = 255
    Image.fromarray(pixels).save(path, exif=exif)
    assert decode(path, True).shape == (8, 4, 3)
    assert decode(path, True)[0, 3].tolist() == [255] * 3
    assert survey([path])[0] == [(8, 4)]


@pytest.mark.parametrize("validation", [None, "validation", "val", "valid"])
def test_folders_named_after_the_splits_are_the_splits(tmp_path, validation):
    fill(tmp_path / "train")
    fill(tmp_path / "test", num_images=2)
    if validation:
        fill(tmp_path / validation, num_images=3)
    task = Task.of(tmp_path)
    assert task.class_names == ("blue", "red")
    assert len(task.test) == 4
    assert (len(task.train), len(task.validation)) == ((20, 6) if validation else (17, 3))


def test_classes_may_be_called_train_and_test(tmp_path):
    fill(tmp_path / "both", classes=("train", "test"))
    with pytest.raises(ValueError, match=r"named like splits: 'test', 'train'.*pass their names as `class_names`"):
        Task.of(tmp_path / "both")
    assert Task.of(tmp_path / "both", class_names=["train", "test"]).class_names == ("train", "test")
    fill(tmp_path / "three", classes=("train/nested", "test/nested", "plane"))
    assert Task.of(tmp_path / "three").class_names == ("plane", "test", "train")


@pytest.mark.parametrize("names", [("Train", "Test"), ("train", "TEST"), ("train", "validation", "test")])
def test_splits_may_be_spelled_in_capitals(names, tmp_path):
    for name in names:
        fill(tmp_path / name)
    task = Task.of(tmp_path)
    assert task.class_names == ("blue", "red")
    assert len(task.test) == 20


@pytest.mark.parametrize(
    "names", [("training_set", "test_set"), ("train", "test", "other"), ("train_1", "eval"), ("train", "Train", "test")]
)
def test_splits_under_other_names_are_not_taken_for_classes(names, tmp_path):
    for name in names:
        fill(tmp_path / name)
    with pytest.raises(ValueError, match=r"the sub-folders 'train', 'test' and 'validation' alone, but '[Tt]rain"):
        Task.of(tmp_path)


def test_given_folder_follows_the_class_names_of_the_source(tmp_path):
    fill(tmp_path / "all", classes=("blue", "green", "red"))
    fill(tmp_path / "extra", classes=("red",), num_images=2, size=(20, 20))
    task = Task.of(tmp_path / "all", test_data=str(tmp_path / "extra"))
    assert task.test.labels.tolist() == [2, 2]
    assert task.test.images.shape == (2, 10, 12, 3)
    fill(tmp_path / "extra", classes=("pink",))
    with pytest.raises(ValueError, match=r"`test_data` must have sub-folders named after the classes .*got 'pink'"):
        Task.of(tmp_path / "all", test_data=tmp_path / "extra")
    with pytest.raises(FileNotFoundError, match="`validation_data` must be an existing folder"):
        Task.of(tmp_path / "all", validation_data=tmp_path / "nowhere")


def test_same_seed_divides_a_folder_in_the_same_way(tmp_path):
    for index in range(40):
        save(tmp_path / "ab"[index % 2] / f"{index}.png", (index, 100, 200))
    first, again, other = (Task.of(tmp_path, seed=seed).fingerprint for seed in (0, 0, 1))
    assert first == again != other


def test_bad_folders_get_a_clear_error(tmp_path):
    def refused(error, message):
        return pytest.raises(error, match="^`source` must .*" + message)

    root = tmp_path / "root"
    with refused(FileNotFoundError, "an existing folder"):
        Task.of(root)
    root.mkdir()
    with refused(ValueError, "but got an empty folder"):
        Task.of(root)
    (root / "file.txt").write_text("")
    with refused(ValueError, "a folder .*, but got the file"):
        Task.of(root / "file.txt")
    save(root / "loose.png")
    with refused(ValueError, "no image in any sub-folder.*move them into sub-folders"):
        Task.of(root)
    fill(root, classes=("red",))
    with refused(ValueError, r"at least 2 classes, but got 1: \['red'\]"):
        Task.of(root)
    (root / "blue").mkdir()
    with refused(ValueError, "at least 2 classes, but got 1.*Left out 1 folder without images: 'blue'"):
        Task.of(root)


def test_folder_of_corrupt_files_names_them(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.jpg").write_bytes(b"no JPEG")
    with pytest.raises(
        ValueError, match=r"at least one image, but got none\. Skipped 2 image files .* read: 'a/0.jpg'"
    ):
        Task.of(tmp_path)


def test_pixels_of_files_reach_from_black_to_white_however_few_do(tmp_path):
    for label in range(2):
        (tmp_path / str(label)).mkdir()
        for number in range(12):
            pixels = np.full((8, 8), label, np.uint8)
            pixels[number % 8] = 1 - label
            Image.fromarray(pixels).save(tmp_path / str(label) / f"{number}.png")
    task = Task.of(tmp_path)
    assert task.train.images.max() == 1
    assert task.pixel_range == (0, 255)


def test_nothing_that_a_terminal_would_obey_comes_from_names_of_files(tmp_path):
    root = fill(tmp_path / "pho\x1b[2Jtos")
    (root / "red" / "bro\x1b[31mken.png").write_bytes(b"")
    (root / "red" / "no\x07tes.txt").write_text("")
    (root / "emp\x1bty").mkdir()
    task = Task.of(root)
    assert task.name.isprintable()
    assert len(task.notes) == 3
    assert all(note.isprintable() for note in task.notes)
    (root / "red").rename(root / "re\x1b[31md")
    with pytest.raises(ValueError, match="without control characters") as refused:
        Task.of(root)
    assert str(refused.value).isprintable()


def test_numbers_in_the_names_of_classes_are_sorted_by_value_and_that_is_said(tmp_path):
    names = ("0", "1", "2", "10", "11")
    fill(tmp_path / "made", names)
    task = Task.of(tmp_path / "made")
    assert task.class_names == names
    assert "Classes are in the order of the numbers in their names: '0', '1', '2', '10', '11'." in task.notes
    images, labels = np.zeros((50, 10, 12, 3), np.uint8), np.arange(50) % 5
    beside = Task.of((images, labels), test_data=tmp_path / "made").test
    assert np.bincount(beside.labels).tolist() == [10] * 5


def test_names_whose_order_is_the_plain_one_are_not_spoken_of(tmp_path):
    fill(tmp_path / "made", ("a1", "a2", "b"))
    assert not any("order" in note for note in Task.of(tmp_path / "made").notes)
