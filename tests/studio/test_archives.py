"""A zip is refused as a whole, by the name of what is wrong with it, before anything is written."""

import stat
import struct
import zipfile

import pytest

from kgrow.studio import archives
from kgrow.studio.archives import unpack


@pytest.fixture
def refused(tmp_path):
    """Returns what is said of a zip that is refused; nothing may be left of it, beside it or above it."""

    def ask(*entries, change=lambda data: data):
        archive = tmp_path / "inner" / "sent.zip"
        archive.parent.mkdir()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
            for entry, content in entries:
                opened.writestr(entry, content)
        archive.write_bytes(change(archive.read_bytes()))
        with pytest.raises(ValueError, match=r"zip") as caught:
            unpack(archive, archive.parent / "images")
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert [path for path in files if path != archive] == []
        return str(caught.value)

    return ask


def entry_of(kind, name="cats/1.png"):
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    return entry


def test_folders_of_classes_are_unpacked_without_hidden_files(tmp_path):
    names = ["photos/cats/1.png", "photos/dogs/ü.png", "photos/.DS_Store", "__MACOSX/photos/cats/._1.png"]
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as opened:
        for name in names:
            opened.writestr(name, b"pixels")
        opened.writestr("photos/empty/", b"")
    unpack(tmp_path / "sent.zip", tmp_path / "images")
    found = {path.relative_to(tmp_path / "images").as_posix() for path in (tmp_path / "images").rglob("*.*")}
    assert found == {"photos/cats/1.png", "photos/dogs/ü.png"}


@pytest.mark.parametrize(
    "name", ["../1.png", "cats/../../1.png", "/tmp/1.png", "C:/1.png", "cats/C:1.png", "..\\1.png", "\\\\host\\1.png"]
)
def test_paths_that_lead_out_are_named(refused, name):
    assert repr(name) in refused(("cats/0.png", b"pixels"), (name, b"pixels"))


@pytest.mark.parametrize(("kind", "words"), [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "is no file")])
def test_links_and_pipes_are_named(refused, kind, words):
    assert f"'cats/1.png' {words}" in refused(("cats/0.png", b"pixels"), (entry_of(kind), b"/etc/passwd"))


def test_what_is_no_zip_is_said(refused):
    assert "must be a zip, but is none" in refused(change=lambda data: b"")


def test_a_part_of_a_zip_is_none(refused):
    assert "or only a part of one" in refused(("cats/1.png", b"pixels" * 100), change=lambda data: data[:-30])


def test_a_damaged_zip_is_said(refused):
    assert "damaged" in refused(("1.png", b"pixels"), change=lambda data: data.replace(b"PK\1\2", b"PK\1\3"))


def test_a_password_is_said(refused):
    def locked(data):
        place = data.index(b"PK\1\2") + 8
        return data[:place] + struct.pack("<H", 1) + data[place + 2 :]

    assert "has one. Pack the folder without it" in refused(("cats/1.png", b"pixels"), change=locked)


def test_amounts_are_bounded_and_said(refused):
    words = refused(("cats/1.png", bytes(20_000_000)))
    assert "60000 files and 4000000000 bytes, at most 100 times its own size, but holds 20000000 bytes in" in words


def test_number_of_files_is_bounded(refused, monkeypatch):
    monkeypatch.setattr(archives, "MAX_FILES", 2)
    assert "but holds 3 files" in refused(*[(f"cats/{number}.png", b"pixels") for number in range(3)])


def test_bytes_are_bounded(refused, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 10)
    assert "but holds 12 bytes" in refused(("cats/1.png", b"pixels"), ("cats/2.png", b"pixels"))


def test_a_list_that_would_fill_the_memory_is_not_read(refused, monkeypatch):
    monkeypatch.setattr(archives, "MAX_LIST_BYTES", 60)
    assert "longer list" in refused(("cats/1.png", b"pixels"), ("cats/2.png", b"pixels"))


def test_more_bytes_than_declared_are_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as opened:
        opened.writestr("cats/1.png", bytes(100))
    data = (tmp_path / "sent.zip").read_bytes()
    for mark, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = data.index(mark) + place
        data = data[:start] + struct.pack("<I", 6) + data[start + 4 :]
    (tmp_path / "sent.zip").write_bytes(data)
    with pytest.raises(ValueError, match="The zip is damaged"):
        unpack(tmp_path / "sent.zip", tmp_path / "images")
    assert (tmp_path / "images" / "cats" / "1.png").stat().st_size <= 6


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_name_that_is_there_twice_is_said(tmp_path):
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as opened:
        opened.writestr("cats/1.png", b"pixels")
        opened.writestr("cats/1.png", b"others")
    with pytest.raises(ValueError, match=r"each name once, but has 'cats/1\.png' twice"):
        unpack(tmp_path / "sent.zip", tmp_path / "images")
