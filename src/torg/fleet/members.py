"""The file that tells the processes of a fleet where the others are. The supervisor writes it, all others read it (kit.rpc.peers)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Members:
    """Addresses by context. A context that will be there in a moment is `returning`: who asks for it may wait."""

    file: Path
    contexts: tuple[str, ...]
    addresses: dict[str, list[str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def add(self, contexts: Iterable[str], address: str) -> None:
        for context in contexts:
            self.addresses.setdefault(context, []).append(address)
        self.write()

    def remove(self, address: str) -> None:
        for addresses in self.addresses.values():
            if address in addresses:
                addresses.remove(address)
        self.write()

    def give_up(self, contexts: Iterable[str]) -> None:
        """Nobody need wait for these."""
        self.gone.update(contexts)
        self.write()

    def expect(self, contexts: Iterable[str]) -> None:
        self.gone.difference_update(contexts)
        self.write()

    def write(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(_toml(self.addresses, [context for context in self.contexts if context not in self.gone]))
        fresh.replace(self.file)


def _toml(addresses: Mapping[str, list[str]], returning: Iterable[str]) -> str:
    lines = [f"{context} = [{', '.join(map(_quoted, known))}]" for context, known in addresses.items() if known]
    return "\n".join([f"returning = [{', '.join(map(_quoted, returning))}]", *lines, ""])


def _quoted(text: str) -> str:
    return f'"{text}"'
