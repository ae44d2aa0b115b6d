"""HDF5 files that hold nothing but what is in them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

MOST_BYTES = 2**31


@contextlib.contextmanager
def opened_hdf5(source: Any, most_bytes: int = MOST_BYTES, what: str = "model") -> Iterator[Any]:
    """Opens an HDF5 file whose arrays are all in itself.

    Args:
        source: Path, or binary stream.
        most_bytes: Largest size of all arrays together.
        what: Word for what is read, for the message.

    Raises:
        ValueError: If it is larger than any model, or links to other files, whose content would become weights.
    """
    import h5py

    sizes, elsewhere = [], []

    def note_link(name: str, link: Any) -> None:
        elsewhere.extend([] if isinstance(link, h5py.HardLink) else [name])

    def note(name: str, value: Any) -> None:
        if isinstance(value, h5py.Dataset):
            sizes.append(value.nbytes)
            elsewhere.extend([name] if value.external or value.is_virtual else [])

    with h5py.File(source, "r") as file:
        file.visititems_links(note_link)  # an error in there would be hidden by another one
        file.visititems(note)
        if elsewhere:
            raise ValueError(f"its part {elsewhere[0]!r} is elsewhere, perhaps in another file")
        if sum(sizes) > most_bytes:  # parts of a file that are not written take no bytes
            raise ValueError(f"its arrays are larger than those of any {what}: more than {most_bytes} bytes")
        yield file
