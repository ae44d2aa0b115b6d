import numpy as np
import pytest
from PIL import Image

from kgrow.task import Split, Task
from kgrow.task.catalog import DataSetName
from kgrow.task.sources import is_folder

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 6, 7, 3), np.uint8)
LABELS = np.arange(60) % 3


class Batches:
    """A sequence as Keras defines it, recognized by its two methods alone."""

    def __init__(self, batch_size=7, one_hot=False):
        self.batch_size, self.labels = batch_size, np.eye(3)[LABELS] if one_hot else LABELS

    def __len__(self):
        return -(-len(IMAGES) // self.batch_size)

    def __getitem__(self, index):
        rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return IMAGES[rows], self.labels[rows]


def fingerprint(source, **options):
    return Task.of(source, **options).fingerprint


EXPECTED = fingerprint((IMAGES, LABELS))


@pytest.mark.parametrize(
    "source",
    [
        (IMAGES.copy(), LABELS.astype(np.float32)),
        [IMAGES.astype(np.int32), LABELS[:, None]],
        (IMAGES.astype(np.float64), np.eye(3)[LABELS]),
        (IMAGES.tolist(), LABELS.tolist()),
        (list(IMAGES), list(np.eye(3)[LABELS])),
        Batches(),
        Batches(batch_size=60, one_hot=True),
        Split(IMAGES, LABELS.astype(np.int32)),
    ],
    ids=["arrays", "list of arrays", "one-hot", "lists", "list of images", "sequence", "one-hot sequence", "split"],
)
def test_every_form_of_the_same_data_gives_the_same_task(source):
    assert fingerprint(source) == EXPECTED


def test_tensors_and_keras_sequences_give_the_same_task():
    from kgrow._keras import keras, tf

    class Sequence(Batches, keras.utils.Sequence):
        def __init__(self):
            Batches.__init__(self)

    assert fingerprint((tf.constant(IMAGES), tf.constant(LABELS))) == EXPECTED
    assert fingerprint(Sequence()) == EXPECTED


def test_sequences_of_keras_3_give_the_same_task():
    keras_3 = pytest.importorskip("keras")

    class Dataset(keras_3.utils.PyDataset):
        def __init__(self):
            super().__init__()

        __len__, __getitem__, batch_size, labels = Batches.__len__, Batches.__getitem__, 7, LABELS

    assert fingerprint(Dataset()) == EXPECTED


def test_gray_images_without_a_channel_axis_get_one():
    task = Task.of((IMAGES[..., 0], LABELS))
    assert task.input_shape == (6, 7, 1)
    assert task.fingerprint == fingerprint((IMAGES[..., :1], LABELS))


def assert_same_examples(split, images, labels):
    """In whatever order."""

    def rows(images, labels):
        return sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))

    assert rows(split.images, split.labels) == rows(images, labels)


def test_pair_of_pairs_gives_the_second_as_the_test_split():
    task = Task.of(((IMAGES[:40], LABELS[:40]), (IMAGES[40:], LABELS[40:])))
    assert_same_examples(task.test, IMAGES[40:], LABELS[40:])
    assert len(task.train) + len(task.validation) == 40


def test_given_splits_are_used_as_they_are():
    task = Task.of(
        (IMAGES[:30], LABELS[:30]),
        validation_data=Batches(batch_size=9),
        test_data=(IMAGES[30:].astype(float), np.eye(3)[LABELS[30:]]),
    )
    assert_same_examples(task.train, IMAGES[:30], LABELS[:30])
    assert_same_examples(task.validation, IMAGES, LABELS)
    assert_same_examples(task.test, IMAGES[30:], LABELS[30:])
    assert task.train.labels.dtype == np.int32


@pytest.mark.parametrize("given", ["validation_data", "test_data"])
def test_only_the_missing_split_is_set_aside(given):
    task = Task.of((IMAGES, LABELS), **{given: (IMAGES[:5], LABELS[:5])})
    sizes = len(task.train), len(task.validation), len(task.test)
    assert sizes == ((48, 5, 12) if given == "validation_data" else (51, 9, 5))


def test_list_of_images_of_several_sizes_is_resized_to_the_median_once_said():
    images = [np.full((8 + 2 * (index % 3), 12, 3), 10 * (index % 2), np.uint8) for index in range(30)]
    task = Task.of((images, np.arange(30) % 2), class_names=("black", "gray"))
    assert task.input_shape == (10, 12, 3)
    assert sorted(np.unique(task.train.images)) == [0, 10]
    assert [note for note in task.notes if "Resized 20 images to 10x12" in note] == list(task.notes)


GRAY, COLOURED = IMAGES[..., :1], np.repeat(IMAGES[..., :1], 3, axis=3)
CLEAR = np.concatenate([COLOURED, np.full_like(GRAY, 255)], axis=3)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
@pytest.mark.parametrize("container", ["list", "sequence", "small cache"])
def test_color_wins_whatever_comes_first(order, container):
    kinds = [(GRAY, COLOURED, CLEAR)[kind] for kind in order]
    images = [kinds[index // 3 % 3][index] for index in range(60)]
    options = {"cache_bytes": 1000} if container == "small cache" else {}

    class Each:
        def __len__(self):
            return 60

        def __getitem__(self, index):
            return images[index][np.newaxis], LABELS[index : index + 1]

    task = Task.of(Each() if container == "sequence" else (images, LABELS), **options)
    assert task.input_shape == (6, 7, 3)
    assert task.fingerprint == fingerprint((COLOURED, LABELS))


def test_color_wins_in_data_sets_too():
    from kgrow._keras import tf

    def examples():
        for index, label in enumerate(LABELS):
            yield (GRAY, COLOURED, CLEAR)[index % 3][index], label

    signature = tf.TensorSpec((None, None, None), tf.uint8), tf.TensorSpec((), tf.int64)
    dataset = tf.data.Dataset.from_generator(examples, output_signature=signature)
    assert fingerprint(dataset) == fingerprint((COLOURED, LABELS))


@pytest.mark.parametrize(("scale", "dtype"), [(255, np.float32), (1, np.uint8), (1, np.float64)])
def test_transparent_pixels_become_white_where_others_are_opaque(scale, dtype):
    clear = CLEAR.copy()
    clear[..., 3] = 0
    images = [(COLOURED, clear)[index % 2][index] / dtype(scale) for index in range(60)]
    task = Task.of((images, np.arange(60) % 2))
    white = 255 / scale
    assert (task.train.images[task.train.labels == 1] == white).all()
    assert (task.train.images[task.train.labels == 0] != white).any()


def test_images_that_all_have_four_channels_keep_them():
    assert Task.of((list(CLEAR), LABELS)).input_shape == (6, 7, 4)


def test_colored_test_images_do_not_change_gray_training_images():
    with pytest.raises(
        ValueError, match="`test_data` must hold images that all have the shape of the first one, 6x7x1"
    ):
        Task.of((GRAY, LABELS), test_data=(COLOURED, LABELS))


def test_pictures_of_pillow_are_read_as_their_files_are():
    palette = Image.fromarray(IMAGES[0]).quantize(4)
    clear = Image.fromarray(CLEAR[1])
    clear.putalpha(0)
    pictures = [palette, clear, *(Image.fromarray(image[..., 0]) for image in GRAY[2:])]
    task = Task.of((pictures, LABELS))
    assert task.input_shape == (6, 7, 3)
    expected = [np.asarray(palette.convert("RGB")), np.full((6, 7, 3), 255, np.uint8), *COLOURED[2:]]
    assert task.fingerprint == fingerprint((expected, LABELS))
    turned = Image.fromarray(IMAGES[0])
    turned.getexif()[0x0112] = 6
    assert Task.of(([turned] * 60, LABELS)).input_shape == (7, 6, 3)


@pytest.mark.parametrize(("image_size", "shape"), [(5, (5, 5, 3)), ((12, 8), (12, 8, 3))])
def test_image_size_resizes_arrays_too(image_size, shape):
    task = Task.of((IMAGES, LABELS), image_size=image_size, class_names="abc")
    assert task.input_shape == shape
    assert task.dtype == np.uint8
    assert task.notes == (f"Resized 60 images to {shape[0]}x{shape[1]}.",)


def test_digits_come_with_scikit_learn():
    from sklearn.datasets import load_digits

    task = Task.of("digits")
    assert task.input_shape == (8, 8, 1)
    assert task.dtype == np.uint8
    assert task.class_names == tuple("0123456789")
    assert task.train.images.max() == 16
    total = sum(int(split.images.astype(int).sum()) for split in (task.train, task.validation, task.test))
    assert total == int(load_digits().images.sum())


def with_bad_pixels(value, *indices):
    images = IMAGES.astype(np.float32)
    images[list(indices), 2, 3, 1] = value
    return images


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ((IMAGES[:50], LABELS), "one label per image, but got 50 images and 60 labels"),
        ((IMAGES[:1], LABELS[:2]), "one label per image, but got 1 image and 2 labels"),
        ((IMAGES[:0], LABELS[:0]), "at least one image, but got none"),
        (([], []), "at least one image, but got none"),
        ((IMAGES.reshape(60, -1), LABELS), "Reshape flat vectors"),
        ((3, 4), r"hold images .* but got the shape \(\)"),
        ((IMAGES, LABELS * 0), "at least 2 classes, but got 1"),
        ((IMAGES, LABELS + 1), "a training image of every class, but got none of '0'"),
        ((IMAGES, LABELS * 2), "but got none of '1', '3'"),
        ((IMAGES, LABELS - 1), "whole numbers from 0, but got -1 at index 0"),
        ((IMAGES, LABELS + 0.5), "whole numbers from 0, but got 0.5 at index 0"),
        ((IMAGES[:3], [0, 1, 7]), "one training image per class, but got 3 images for 8 classes"),
        ((IMAGES[:3], [0, 1, 10**9]), "but got 3 images for 1000000001 classes"),
        ((IMAGES[:3], [0.0, 1.0, 1e30]), "but got 3 images for"),
        ((IMAGES[:3], np.eye(4)[:3]), "but got 3 images for 4 classes"),
        ((IMAGES[:, :3], LABELS), "at least 4x4 pixels, but got 3x7"),
        ((np.moveaxis(IMAGES, -1, 1), LABELS), "channels first"),
        ((with_bad_pixels(np.nan, 7, 9, 59), LABELS), "but got 3 images with NaN.*the first at index 7"),
        ((with_bad_pixels(np.inf, 20), LABELS), "but got 1 image with NaN, infinity.*the first at index 20"),
        ((IMAGES.astype(float) * 1e300, LABELS), "images with NaN, infinity or values beyond float32"),
        (([IMAGES[0], IMAGES[1][..., :2]], [0, 1]), "all have the shape of the first one, 6x7x3, but got 6x7x2"),
        ((IMAGES[:3], [0, 1, 0]), "at least 4 images to be divided, but got 3"),
    ],
)
def test_bad_data_gets_a_clear_error(source, message):
    with pytest.raises(ValueError, match="^`source` must .*" + message):
        Task.of(source)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((IMAGES[:, :5], LABELS), "the shape of the first one, 6x7x3, but got 5x7x3. Pass `image_size`"),
        ((IMAGES[..., :2], LABELS), "the shape of the first one, 6x7x3, but got 6x7x2"),
        ((IMAGES, LABELS + 1), r"labels in 0..2 \(3 classes\), but got 3 at index 2"),
        ((IMAGES / 255, LABELS), "on the scale of the other splits"),
        ((IMAGES[:0], LABELS[:0]), "at least one image, but got none"),
        ((with_bad_pixels(np.nan, 1), LABELS), "the first at index 1"),
    ],
)
@pytest.mark.parametrize("argument", ["validation_data", "test_data"])
def test_bad_given_split_is_named_by_its_argument(argument, given, message):
    with pytest.raises(ValueError, match=f"^`{argument}` must .*{message}"):
        Task.of((IMAGES, LABELS), class_names="abc", **{argument: given})


def test_class_only_in_the_test_split_is_refused():
    with pytest.raises(ValueError, match="a training image of every class, but got none of '3'"):
        Task.of((IMAGES, LABELS), test_data=(IMAGES[:1], [3]))


def test_labels_beyond_the_given_class_names_are_refused():
    with pytest.raises(ValueError, match=r"labels in 0..1 \(2 classes\), but got 2 at index 2.*`class_names`"):
        Task.of((IMAGES, LABELS), class_names=["a", "b"])


@pytest.mark.parametrize("source", [IMAGES, None, 5, (IMAGES,), (IMAGES, LABELS, LABELS), {"x": IMAGES}, np.array(3)])
def test_anything_else_is_a_type_error_that_lists_what_is_accepted(source):
    with pytest.raises(TypeError, match=r"`source` must be the name of a data set, .* a folder"):
        Task.of(source)


def test_index_of_a_bad_image_counts_from_the_first_batch():
    class Damaged(Batches):
        def __getitem__(self, index):
            return with_bad_pixels(np.nan, 20, 33)[index * 7 : index * 7 + 7], super().__getitem__(index)[1]

    with pytest.raises(ValueError, match=r"but got 2 images with NaN.*the first at index 20"):
        Task.of(Damaged())


def test_fewer_images_than_class_names_are_refused():
    with pytest.raises(ValueError, match="one training image per class, but got 3 images for 5 classes"):
        Task.of((IMAGES[:3], LABELS[:3]), class_names="abcde")


def test_sequence_of_something_else_is_refused():
    class Images(Batches):
        def __getitem__(self, index):
            return super().__getitem__(index)[0]

    with pytest.raises(ValueError, match=r"must yield \(image, label\) pairs"):
        Task.of(Images())


def fill(path):
    for label in range(2):
        (path / "ab"[label]).mkdir(parents=True)
        for index in range(6):
            Image.new("RGB", (8, 8), (200, 100 * label, index)).save(path / "ab"[label] / f"{index}.png")
    return path


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("no connection is needed")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.mark.parametrize("name", ["digits", "mnist", "beans", "emnist/letters"])
def test_folder_wins_over_the_data_set_of_its_name(name, tmp_path, monkeypatch, no_network):
    fill(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kgrow.task.catalog._make_builder", None)
    task = Task.of(name)
    assert task.class_names == ("a", "b")
    assert is_folder(name)
    if "/" not in name:
        assert task.notes[0] == f"Read the folder '{name}' that lies here, not the data set of that name."


def test_folder_without_images_leaves_its_name_to_a_data_set_at_hand(tmp_path, monkeypatch, no_network):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()  # such as a run with `--out digits`
    assert Task.of("digits").num_classes == 10
    (tmp_path / "stored" / "beans").mkdir(parents=True)
    (tmp_path / "beans").mkdir()
    assert not is_folder("beans", tmp_path / "stored")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match=r"a folder of that name lies here, .* and the data set .* is not prepared"):
        Task.of("beans")
    with pytest.raises(ValueError, match="one sub-folder of images per class, but got an empty folder"):
        Task.of("./digits")


def test_name_that_is_known_to_be_of_a_data_set_is_no_folder(tmp_path, monkeypatch):
    fill(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    assert Task.of(DataSetName("digits")).num_classes == 10


@pytest.mark.parametrize(
    ("source", "hint"),
    [("phtos", "Did you mean 'photos'"), ("data/phtos", "Did you mean 'photos'"), ("./phtos", "Did you mean 'photos'")],
)
def test_typo_near_the_name_of_a_folder_is_told(source, hint, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "data" / "photos").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=f"^`source` must .*{hint}"):
        Task.of(source)


@pytest.mark.parametrize("place", ["", "./", "{}/"])
def test_archive_is_to_be_unpacked_first(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.zip").write_bytes(b"PK")
    source = place.format(tmp_path) + "photos.zip"
    with pytest.raises(
        ValueError, match=r"got the file .*Unpack an archive first: `python -m zipfile -e \S*photos.zip"
    ):
        Task.of(source)
    with pytest.raises(ValueError, match=r"`test_data` must .* Unpack an archive first"):
        Task.of((IMAGES, LABELS), test_data=source)


def test_home_of_nobody_is_no_folder():
    with pytest.raises(FileNotFoundError, match=r"^`source` must be .*'~nobody-at-all/x': no such user"):
        Task.of("~nobody-at-all/x")


@pytest.mark.parametrize("source", ["./nowhere", "~/nowhere-at-all", "/nowhere/at/all"])
def test_missing_folder_is_not_taken_for_a_name(source):
    with pytest.raises(FileNotFoundError, match="`source` must be an existing folder"):
        Task.of(source)


class Iterator(Batches):
    """A sequence with the attribute of those that `flow_from_directory` makes."""

    def __init__(self, **class_indices):
        super().__init__()
        self.class_indices = class_indices


def test_class_indices_of_a_directory_iterator_name_the_classes():
    assert Task.of(Iterator(zero=2, four=0, ten=1)).class_names == ("four", "ten", "zero")


def test_a_given_split_with_other_classes_or_another_order_of_them_is_refused():
    train = Iterator(cat=0, cow=1, dog=2)
    for other in (Iterator(cat=0, dog=1, cow=2), Iterator(cat=0, dog=1)):
        with pytest.raises(
            ValueError, match=r"`test_data` must have the classes .* 'cat', 'cow', 'dog', but got 'cat'"
        ):
            Task.of(train, test_data=other)
        assert Task.of(train, test_data=other, class_names="abc").class_names == ("a", "b", "c")
    assert Task.of(train, test_data=Iterator(cat=0, cow=1, dog=2)).class_names == ("cat", "cow", "dog")


def test_classes_that_are_named_by_number_are_said():
    (note,) = Task.of((IMAGES, LABELS)).notes
    assert note == "Classes are named by number, 0 to 2. Pass `class_names` to name them."
    assert Task.of((IMAGES, LABELS), class_names="abc").notes == ()


def test_a_sequence_that_changes_its_images_at_random_is_named():
    random = np.random.default_rng(0)

    class Augmenting(Batches):
        def __getitem__(self, index):
            images, labels = super().__getitem__(index)
            return images + random.integers(0, 9, images.shape), labels

    assert any("gives other images each time it is read" in note for note in Task.of(Augmenting()).notes)
    assert not any("each time" in note for note in Task.of(Batches()).notes)
