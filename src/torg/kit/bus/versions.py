"""What a consumer remembers of the streams that pass by, to tell when a row is missing."""

from __future__ import annotations

from collections import OrderedDict

REMEMBERED = 4096  # streams, about a megabyte


class Versions:
    """The last version of each stream that has passed by lately, with where that was. A stream that was not seen lately may go on with any version."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._seen: OrderedDict[str, tuple[int, str, int]] = OrderedDict()

    def follow(self, source: str, offset: int, stream: str, version: int) -> int:
        """Notes a row. 0 when it follows the one before it or is a repetition, else the version that is missing, and nothing is noted.
        `stream` is named together with its context."""
        seen = self._seen.get(stream)
        if seen is None:
            if len(self._seen) >= self._remembered:
                self._seen.popitem(last=False)
        elif version > seen[0] + 1:
            return seen[0] + 1
        elif version <= seen[0]:
            return 0
        self._seen[stream] = (version, source, offset)
        self._seen.move_to_end(stream)
        return 0

    def forget(self, source: str, offset: int = 0) -> None:
        """Drops what passed by in a source from an offset on: those rows are to come again, or went to another instance."""
        for stream in [stream for stream, (_, where, at) in self._seen.items() if where == source and at >= offset]:
            del self._seen[stream]

    def forget_stream(self, stream: str) -> None:
        """Drops a stream of which a row came that cannot be read."""
        self._seen.pop(stream, None)
