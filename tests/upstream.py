"""The same questions to Kubernetes' own RBAC authorizer (tools/oracle) and to each of our evaluators.

    python tests/upstream.py --policies 20000 --questions 50

Prints what was compared and ends with 1 where an answer differs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from policies import CASES, cases_of, policies

from conformance.model import Answer, Identity
from conformance.oracles.rules import Rules
from conformance.rbac import predicates
from conformance.rbac.algebra import Axis, Point
from conformance.rbac.matrix import WholeMatrix
from conformance.rbac.resolver import MASTERS, MissingRole, Resolver
from conformance.rbac.whocan import sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from policies import Policy, Question

    from conformance.model import Json
    from conformance.rbac.resolver import Source

SOURCES = Path(__file__).parent.parent / "tools" / "oracle"
NODE_PREFIX = "system:node:"  # the rules oracle adds the Node authorizer for these


class Upstream:
    """The Go program, answering one policy's questions after the other."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def answers(self, policy: Policy) -> list[str | None]:
        """Give for each question the reason why it is allowed, or None."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(orjson.dumps(_document(policy)) + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the program ended with code {self._process.wait()}")
        found: list[str | None] = orjson.loads(line)
        return found

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _document(policy: Policy) -> Json:
    rbac = policy.rbac
    return {
        "ClusterRoles": rbac.cluster_roles,
        "ClusterRoleBindings": rbac.cluster_role_bindings,
        "Roles": rbac.roles,
        "RoleBindings": rbac.role_bindings,
        "Questions": [_asked(question) for question in policy.questions],
    }


def _asked(question: Question) -> Json:
    asked = question.asked
    common = {"User": question.who.user, "Groups": sorted(question.who.groups)}
    if asked.path:
        return common | {"Verb": asked.verb, "Path": asked.path, "Namespace": asked.namespace}
    keys = ("verb", "group", "version", "resource", "subresource", "namespace", "name")
    return common | {key.title(): getattr(asked, key) for key in keys}


def go() -> str | None:
    """Find the Go compiler."""
    return shutil.which("go")


@contextmanager
def upstream(program: Path | None = None) -> Iterator[Upstream]:
    """Run the program: one that is built already, or built now."""
    with tempfile.TemporaryDirectory() as folder:
        if program is None:
            program = Path(folder) / "oracle"
            # The flags of the control plane's own build, so that Go finds the packages that this one compiled.
            command = ["go", "-C", str(SOURCES), "build", "-trimpath", "-o", str(program), "."]
            subprocess.run(command, check=True, env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"})
        running = Upstream(program)
        try:
            yield running
        finally:
            running.close()


# --- our evaluators ---------------------------------------------------------------------------------------------------


def readable(policy: Policy) -> list[str | None]:
    """The visitor and the predicates, nothing else; the reason names the binding, the role and the subject."""
    resolver = Resolver(policy.rbac)
    return [_visit(resolver, question) for question in policy.questions]


def _visit(resolver: Resolver, question: Question) -> str | None:
    if MASTERS in question.who.groups:
        return ""
    for visit in resolver.visit_rules_for(question.who, question.asked.namespace):
        if not isinstance(visit, MissingRole) and predicates.rule_allows(question.asked, visit[1]):
            return _reason(visit[0])
    return None


def _reason(source: Source) -> str:
    binding, subject = source.binding, source.subject
    kind = "RoleBinding" if binding.namespace else "ClusterRoleBinding"
    name = f"{binding.name}/{binding.namespace}" if binding.namespace else binding.name
    whom = f"{subject.name}/{subject.namespace}" if subject.kind == "ServiceAccount" else subject.name
    return f'RBAC: allowed by {kind} "{name}" of {binding.role_kind} "{binding.role_name}" to {subject.kind} "{whom}"'


def oracle(policy: Policy) -> list[bool]:
    """The indexed oracle that audits use."""
    rules = Rules(policy.rbac)
    found = []
    for question in policy.questions:
        identity = Identity("x", "x", question.who.user, tuple(sorted(question.who.groups)))
        found.append(rules.decide(identity, question.asked).answer == Answer.ALLOWED)
    return found


def bit_sets(policy: Policy) -> list[bool]:
    """The whole matrix as bit sets."""
    points = [_point(question) for question in policy.questions]
    axis = Axis(tuple(dict.fromkeys(points)))
    people = [question.who for question in policy.questions]
    matrix = WholeMatrix(Resolver(policy.rbac), axis, people, ())
    return [
        bool(
            matrix.allowed(question.who, question.asked.namespace).for_name(question.asked.name) >> axis.bit(point) & 1
        )
        for question, point in zip(policy.questions, points, strict=True)
    ]


def _point(question: Question) -> Point:
    asked = question.asked
    plural = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    return Point(asked.group, plural, asked.verb, namespaced=True, path=asked.path)


def from_the_other_end(policy: Policy) -> list[bool]:
    """Who-can: whether who asks is among those whom it finds."""
    resolver = Resolver(policy.rbac)
    return [
        MASTERS in question.who.groups
        or any(source.subject.applies_to(question.who) for source in sources(resolver, question.asked))
        for question in policy.questions
    ]


# --- the comparison ---------------------------------------------------------------------------------------------------


@dataclass
class Compared:
    """What was asked and what differed."""

    policies: int = 0
    decisions: int = 0
    allowed: int = 0
    cases: Counter[int] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def say(self) -> str:
        """Give everything as text."""
        share = self.allowed / max(1, self.decisions)
        lines = [f"{self.decisions} decisions over {self.policies} policies, {share:.1%} of them allowed"]
        lines += [f"{self.cases[number]:>9}  case {number}: {title}" for number, title in CASES.items()]
        return "\n".join([*lines, f"{len(self.differences)} differences", *self.differences[:20]])


def compare(asked: Upstream, drawn: Iterable[Policy], *, most_differences: int = 100) -> Compared:
    """Ask all of every question; stop when so many answers differ."""
    total = Compared()
    for policy in drawn:
        expected = asked.answers(policy)
        total.policies += 1
        total.decisions += len(expected)
        total.allowed += sum(reason is not None for reason in expected)
        resolver = Resolver(policy.rbac)
        for question in policy.questions:
            total.cases.update(cases_of(question, policy.rbac, resolver))
        _note(total, policy, "readable", expected, readable(policy))
        permitted = [reason is not None for reason in expected]
        _note(total, policy, "bit sets", permitted, bit_sets(policy))
        _note(total, policy, "who-can", permitted, from_the_other_end(policy))
        rules = oracle(policy)
        by_node = [question.who.user.startswith(NODE_PREFIX) for question in policy.questions]
        _note(
            total,
            policy,
            "rules oracle",
            permitted,
            [b if n else a for a, b, n in zip(rules, permitted, by_node, strict=True)],
        )
        if len(total.differences) >= most_differences:
            break
    return total


def _note(total: Compared, policy: Policy, which: str, expected: list[str | None] | list[bool], found: object) -> None:
    assert isinstance(found, list)
    if found == expected:
        return
    for question, right, wrong in zip(policy.questions, expected, found, strict=True):
        if right != wrong:
            objects = {key: value for key, value in _document(policy).items() if key != "Questions"}
            shown = orjson.dumps(objects).decode()
            total.differences.append(f"{which}: {question} upstream {right!r}, ours {wrong!r}; {shown}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", type=int, default=20_000)
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--program", type=Path, help="tools/oracle, built already")
    given = parser.parse_args()
    begun = time.monotonic()
    with upstream(given.program) as asked:
        total = compare(asked, policies(given.seed, given.policies, given.questions))
    sys.stdout.write(f"{total.say()}\n{time.monotonic() - begun:.0f} s\n")
    return 1 if total.differences else 0


if __name__ == "__main__":
    sys.exit(main())
