import contextlib
import os
import pickle
import zipfile

import numpy as np
import pytest

from kgrow.pretrained.torch_file import FIRST_BYTES, is_torch_file, read_torch_file
from tests.pretrained.torch_files import write_legacy, write_zip

STATE = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "double": np.array([0.1, 0.2]),
    "scalar": np.array(7),
    "none": np.zeros((0, 3), np.float32),
}


@pytest.mark.parametrize("write", [write_legacy, write_zip])
def test_tensors_come_back_as_they_were(write, tmp_path):
    path = write(tmp_path / "state.pth", STATE)
    assert is_torch_file(path)
    read = read_torch_file(path)
    assert list(read) == list(STATE)
    for name, array in STATE.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_a_state_beside_other_things_is_found(tmp_path):
    path = write_zip(tmp_path / "state.pth", {"epoch": 3, "state_dict": {"a": np.ones(2, np.float32)}})
    np.testing.assert_array_equal(read_torch_file(path)["a"], [1, 1])


class _Evil:
    def __reduce__(self):
        return os.system, ("touch evil",)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_nothing_in_a_file_is_run(form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps({"a": _Evil()}))
    else:
        parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {"a": _Evil()})
        path.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))
    with pytest.raises(ValueError, match="system, which is neither a tensor"):
        read_torch_file(path)
    assert [each.name for each in tmp_path.iterdir()] == ["evil.pth"]


@pytest.mark.parametrize("write", [write_legacy, write_zip])
def test_every_damage_is_one_kind_of_error(write, tmp_path):
    whole = write(tmp_path / "state.pth", STATE).read_bytes()
    generator = np.random.default_rng(0)
    for number in range(60):
        data = bytearray(whole)
        if number % 2:
            del data[int(generator.integers(1, len(data))) :]
        else:
            data[int(generator.integers(len(data)))] ^= int(generator.integers(1, 256))
        path = tmp_path / "damaged.pth"
        path.write_bytes(data)
        # A changed value is not seen; the hash of the file is for that.
        with contextlib.suppress(ValueError):
            read_torch_file(path)


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x89HDF\r\n\x1a\n", b"text"])
def test_other_files_are_told_apart(content, tmp_path):
    path = tmp_path / "other"
    path.write_bytes(content)
    assert not is_torch_file(path)
    with pytest.raises(ValueError, match=r"torch\.save"):
        read_torch_file(path)


def test_one_value_that_is_a_tensor_of_any_size_takes_no_memory(tmp_path):
    path = write_zip(tmp_path / "state.pth", {"a": np.ones(1, np.float32)}, shape=(3 * 10**8,), strides=(0,))
    with pytest.raises(ValueError, match="larger than those of any backbone"):
        read_torch_file(path)


def test_a_memo_of_any_size_takes_no_memory(tmp_path):
    path = tmp_path / "state.pth"
    path.write_bytes(FIRST_BYTES[:2] + b"K\x01r" + (2**28).to_bytes(4, "little") + b".")
    assert not is_torch_file(path)
    with pytest.raises(ValueError, match=r"torch\.save"):
        read_torch_file(path)


def test_a_zip_without_its_directory_is_told_apart(tmp_path):
    path = write_zip(tmp_path / "state.pth", STATE)
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\1\2")
    data[start : start + 4] = b"XXXX"
    path.write_bytes(data)
    assert not is_torch_file(path)
