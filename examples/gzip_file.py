"""Read a compressed file for each item, the path of a `.gz` file."""

import gzip
from pathlib import Path


def read(path: str) -> bytes:
    """Return what the file holds; zlib lets the GIL go while it decompresses."""
    with gzip.open(Path(path).expanduser()) as file:
        return file.read()
