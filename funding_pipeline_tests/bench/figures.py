"""A measured figure beside its target."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """`measured` and `target` (at most) in `unit`; `note` says what was done, on what.

    `target` None: told, but nothing depends on it.
    """

    name: str
    measured: float
    target: float | None
    unit: str = ""
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the target holds; true without one."""
        return self.target is None or self.measured <= self.target
