"""What became of one world."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Report:
    """``violations``: sentences, none where all is well; ``log``: one line an event."""

    seed: int
    ship: str = ""
    violations: list[str] = field(default_factory=list)
    excused: Counter = field(default_factory=Counter)
    """How often the model left something open, by its reason."""
    counts: Counter = field(default_factory=Counter)
    """What the story did and met."""
    log: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """Simulated."""

    @property
    def text(self) -> str:
        return "\n".join(self.log) + "\n"

    @property
    def kinds(self) -> list[str]:
        """The violations by their sort alone: ids and values differ between two stories of one fault."""
        return sorted({line.partition(":")[0] for line in self.violations})
