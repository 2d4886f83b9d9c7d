"""What a load showed, and whether that is within its goal."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Result:
    """One load.

    Attributes:
        name: of the load.
        figures: what was measured.
        faults: what is beyond its goal, one sentence each.
    """

    name: str
    figures: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def require(self, holds: bool, fault: str) -> None:
        """Note a fault unless something holds."""
        if not holds:
            self.faults.append(fault)

    def line(self) -> str:
        """For people."""
        figures = ", ".join(f"{name} {value}" for name, value in self.figures.items())
        faults = "; ".join(self.faults)
        return f"{self.name}: {'FAULT: ' + faults if faults else 'holds'} ({figures})"

    def data(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self)
