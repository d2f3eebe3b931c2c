"""Undoing a compression that nobody asked for, as the bytes come."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

ENCODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})
"""The values of `Content-Encoding` that can be undone (RFC 9110, 8.4.1)."""

PIECE_BYTES: Final = 2**18
"""How much comes out at once: a small answer that holds a large one takes no more memory than any other."""


class Inflater:
    """The bytes of one answer, in pieces."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip and zlib alike

    @property
    def is_whole(self) -> bool:
        """Whether the end has come, and nothing after it."""
        return self._inflater.eof and not self._inflater.unused_data

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Give what these bytes hold.

        Raises:
            zlib.error: They are no compressed ones, or damaged.
        """
        while piece := self._inflater.decompress(chunk, PIECE_BYTES):
            yield piece
            chunk = self._inflater.unconsumed_tail
