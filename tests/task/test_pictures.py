import importlib.machinery
import struct
import sys
import types
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from kgrow.task import Task, pictures
from kgrow.task.pictures import PictureError, decode, survey

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def fill(path, num_images=6, suffix="png", **options):
    for name in ("blue", "red"):
        (path / name).mkdir(parents=True)
        for index in range(num_images):
            image = Image.new("RGB", (16, 12), (200 if name == "red" else 20, 10, index))
            image.save(path / name / f"{index}.{suffix}", **options)
    return path


def write_png_header(path, width, height):
    """Writes a PNG that is said to be of a size, without its pixels: nothing may need them to refuse it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)))
    with path.open("ab") as file:
        file.write(struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))


@pytest.mark.parametrize(("width", "height"), [(13_000, 13_000), (15_000, 12_000), (60_000, 60_000)])
def test_pictures_of_too_many_pixels_are_skipped_with_the_reason(tmp_path, width, height):
    fill(tmp_path)
    write_png_header(tmp_path / "red" / "huge.png", width, height)
    (tmp_path / "red" / "cut.png").write_bytes(b"\x89PNG")
    task = Task.of(tmp_path)
    assert "Skipped 1 image file of more than 64 megapixels: 'red/huge.png'." in task.notes
    assert "Skipped 1 image file that could not be read: 'red/cut.png'." in task.notes
    assert sum(map(len, (task.train, task.validation, task.test))) == 12


def test_photographs_are_decoded_near_the_size_they_are_used_at(tmp_path, monkeypatch):
    path = tmp_path / "photo.jpg"
    Image.effect_noise((1600, 1200), 60).convert("RGB").save(path, quality=50)
    loaded = []
    load = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda image: loaded.append(image.size) or load(image))
    assert decode(path, True, (96, 96)).shape == (300, 400, 3)
    assert survey([path]) == ([(1200, 1600)], False)
    assert max(loaded) == (400, 300)
    assert decode(path, True).shape == (1200, 1600, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_reduced_pictures_differ_little_from_whole_ones(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    smooth = Image.fromarray(NOISE[:8, :12]).resize((1200, 800), Image.Resampling.BICUBIC)
    smooth.save(path)
    size = (60, 40)
    whole, near = (Image.fromarray(decode(path, True, given)) for given in (None, (40, 60)))
    assert near.size < whole.size
    assert min(near.size) >= 80
    difference = np.subtract(
        *(np.asarray(image.resize(size, Image.Resampling.BILINEAR), float) for image in (whole, near))
    )
    assert np.abs(difference).mean() < 1.5


def test_turned_photographs_are_reduced_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (1600, 800), (9, 200, 9)).save(tmp_path / "photo.jpg", exif=exif)
    assert decode(tmp_path / "photo.jpg", True, (48, 24)).shape == (200, 100, 3)


def test_folder_of_photographs_gives_the_same_size_as_before(tmp_path):
    for index in range(8):
        folder = tmp_path / "ab"[index % 2]
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (1600, 1200), (20 * index, 90, 200)).save(folder / f"{index}.jpg")
    task = Task.of(tmp_path)
    assert task.input_shape == (72, 96, 3)
    assert "Resized 8 images to 72x96" in task.notes[0]
    assert Task.of(tmp_path, image_size=300).input_shape == (300, 300, 3)


def test_tiff_is_read(tmp_path):
    fill(tmp_path, suffix="tiff")
    deep = np.linspace(0, 65535, 192).reshape(12, 16).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "red" / "deep.tif")
    first = Image.fromarray(NOISE)
    first.save(tmp_path / "pages.tif", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    task = Task.of(tmp_path)
    assert task.input_shape == (12, 16, 3)
    assert sum(map(len, (task.train, task.validation, task.test))) == 13
    np.testing.assert_array_equal(decode(tmp_path / "pages.tif", True), NOISE)
    np.testing.assert_array_equal(decode(tmp_path / "red" / "deep.tif", False)[..., 0], np.round(deep / 257))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_is_turned_once(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(NOISE).save(tmp_path / "turned.tif", exif=exif)
    sizes, _ = survey([tmp_path / "turned.tif"])
    assert sizes == [decode(tmp_path / "turned.tif", True).shape[:2]]
    assert sizes == [(40, 60) if orientation < 5 else (60, 40)]


def test_floating_point_pixels_are_skipped_with_the_reason(tmp_path):
    fill(tmp_path)
    Image.fromarray(np.zeros((12, 16), np.float32)).save(tmp_path / "red" / "depth.tif")
    assert "Skipped 1 image file of floating-point pixels: 'red/depth.tif'." in Task.of(tmp_path).notes


@pytest.fixture
def _forgetful():
    pictures.suffixes.cache_clear()
    pictures._formats.cache_clear()
    yield
    pictures.suffixes.cache_clear()
    pictures._formats.cache_clear()


@pytest.mark.usefixtures("_forgetful")
def test_heic_is_named_with_its_cure(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    fill(tmp_path)
    (tmp_path / "red" / "IMG_1.HEIC").write_bytes(b"....ftypheic")
    note = "Left out 1 HEIC file that `pip install pillow-heif` would let kgrow read: 'red/IMG_1.HEIC'."
    assert note in Task.of(tmp_path).notes
    for folder in ("phone/a", "phone/b"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "IMG_2.heic").write_bytes(b"....ftypheic")
    with pytest.raises(ValueError, match=r"no image in any sub-folder.*`pip install pillow-heif`"):
        Task.of(tmp_path / "phone")


class Heif(ImageFile.ImageFile):
    """Stands in for the plug-in of pillow-heif: a picture of 16x12 raw pixels."""

    format = "HEIF"

    def _open(self):
        self._size, self._mode = (16, 12), "RGB"
        self.tile = [("raw", (0, 0, 16, 12), 12, ("RGB", 0, 1))]


@pytest.mark.usefixtures("_forgetful")
def test_heic_is_read_where_pillow_heif_is_installed(tmp_path, monkeypatch):
    module = types.ModuleType("pillow_heif")
    module.__spec__ = importlib.machinery.ModuleSpec("pillow_heif", None)
    module.register_heif_opener = lambda: Image.register_open("HEIF", Heif, lambda prefix: prefix[4:12] == b"ftypheic")
    monkeypatch.setitem(sys.modules, "pillow_heif", module)
    fill(tmp_path)
    (tmp_path / "red" / "IMG_1.HEIC").write_bytes(b"....ftypheic" + bytes(16 * 12 * 3))
    try:
        task = Task.of(tmp_path)
    finally:
        Image.OPEN.pop("HEIF", None)
        Image.ID.remove("HEIF")
    assert task.notes == ()
    assert sum(map(len, (task.train, task.validation, task.test))) == 13


def test_reason_completes_the_words_image_file(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(PictureError, match=r"^that could not be read$"):
        decode(tmp_path / "empty.png", True)
