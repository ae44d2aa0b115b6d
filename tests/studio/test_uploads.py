"""What a browser sends becomes a folder beside the runs, or nothing."""

import asyncio
import io
import zipfile

import pytest

from kgrow.studio import uploads
from kgrow.studio.uploads import Uploads, counted


def zip_of(*names):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, b"pixels")
    return target.getvalue()


def sent(runs, data, name="photos.zip", error=None):
    async def chunks():
        for start in range(0, len(data), 100):
            yield data[start : start + 100]
        if error:
            raise error

    return asyncio.run(Uploads(runs).receive(name, chunks()))


def test_folder_is_named_after_the_zip_and_is_that_of_the_classes(tmp_path):
    data = zip_of("a/b/cats/1.png", "a/b/cats/more/2.png", "a/b/dogs/1.png")
    first, second = sent(tmp_path, data), sent(tmp_path, data)
    assert (first, second) == (tmp_path / "_uploads" / "photos", tmp_path / "_uploads" / "photos-2")
    assert counted(first) == {"cats": 2, "dogs": 1}
    assert Uploads(tmp_path).folders() == [first, second]


def test_one_class_stays_a_class(tmp_path):
    assert counted(sent(tmp_path, zip_of("cats/1.png", "cats/2.png"))) == {"cats": 2}


@pytest.mark.parametrize("name", ["../../photos", "/etc/photos", "C:\\photos", ".photos"])
def test_name_is_one_of_a_folder_here(tmp_path, name):
    assert sent(tmp_path, zip_of("cats/1.png"), name).parent == tmp_path / "_uploads"


@pytest.mark.parametrize("name", ["", "..", "/", "...", "---"])
def test_what_is_no_name_gets_one(tmp_path, name):
    assert sent(tmp_path, zip_of("cats/1.png"), name) == tmp_path / "_uploads" / "images"


@pytest.mark.parametrize("error", [ConnectionError("aborted"), KeyboardInterrupt(), asyncio.CancelledError()])
def test_aborted_upload_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)):
        sent(tmp_path, zip_of("cats/1.png"), error=error)
    assert list((tmp_path / "_uploads").iterdir()) == []


def test_refused_upload_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="leads out of it"):
        sent(tmp_path, zip_of("cats/1.png", "../1.png"))
    assert list((tmp_path / "_uploads").iterdir()) == []


def test_too_many_bytes_are_not_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_ARCHIVE_BYTES", 150)
    with pytest.raises(ValueError, match="at most 150 bytes"):
        sent(tmp_path, zip_of("cats/1.png", "cats/2.png"))
    assert list((tmp_path / "_uploads").iterdir()) == []


def test_what_a_killed_studio_left_is_removed(tmp_path):
    left = tmp_path / "_uploads" / ".partial-1"
    left.mkdir(parents=True)
    (left / "sent.zip").touch()
    assert Uploads(tmp_path).folders() == []
    assert not left.exists()
