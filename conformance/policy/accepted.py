"""What an audit takes as accepted while it goes on: what is waived, and what fails in the baseline, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance import gate, moments
from conformance.errors import UsageError
from conformance.policy import rules, waivers

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Gate
    from conformance.moments import Moment
    from conformance.policy.rules import Rule
    from conformance.policy.waivers import Waiver


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was given of baseline, waivers and policy; can be handed to another process."""

    waivers: tuple[Waiver, ...] = ()
    rules: tuple[Rule, ...] = ()
    baseline: Path | None = None
    baseline_name: str = ""
    failing_there: frozenset[str] = frozenset()
    fail_on: str = "high"
    allow_partial: bool = False

    def __bool__(self) -> bool:
        return bool(self.waivers or self.rules or self.baseline)

    def why(self, name: str) -> str:
        """Say why a failure of this id is accepted, empty when it is not."""
        waiver = waivers.Waivers(self.waivers).waive(name)
        if waiver is not None:
            return f"waived: {waiver.sentence}"
        return f"fails in the baseline {self.baseline_name}, too" if name in self.failing_there else ""

    def decide(self, now: Moment) -> tuple[Gate, tuple[str, ...]]:
        """Decide on a run that has ended, and say which waivers are expired or unused."""
        used = waivers.Waivers(self.waivers)
        terms = gate.Terms(self.rules, used, self.fail_on, self.allow_partial)
        if self.baseline is None:
            return gate.of_one(now, terms), used.complaints()
        assert now.matrix is not None  # noqa: S101  # it is a run
        left = [it for it in gate.failures(now.matrix, terms) if it.id.startswith("incomplete:")]
        return gate.of_two(moments.read(self.baseline), now, terms, left), used.complaints()


def load(
    baseline: Path | None,
    waiver_file: Path | None,
    policy: tuple[object, Path, int | None],
    *,
    fail_on: str,
    allow_partial: bool,
) -> Accepted:
    """Read what was given, before anything is started for it."""
    entries, source, line = policy
    there: frozenset[str] = frozenset()
    name = ""
    if baseline is not None:
        moment = moments.read(baseline)
        if moment.matrix is None:
            raise UsageError(f"--baseline {baseline}: a snapshot without a run; give the folder of a run")
        name = moment.name
        there = frozenset(it.id for it in gate.failures(moment.matrix, gate.Terms(fail_on=fail_on)))
    return Accepted(
        waivers=waivers.load(waiver_file) if waiver_file else (),
        rules=rules.read(entries, source, line) if entries is not None else (),
        baseline=baseline,
        baseline_name=name,
        failing_there=there,
        fail_on=fail_on,
        allow_partial=allow_partial,
    )
