"""Runs single checks against a real server, a mutation planted in between, and says what they came to."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any
from unittest import mock

import orjson
from faultproxy import Answered, Asked, Strangers, before

from conformance import config, contract, run
from conformance.engine import Engine
from conformance.openapi import Documents
from conformance.schemas import Schemas, Tally
from conformance.scripts import Ask, Planned, subjects
from conformance.transport import Client
from mutations.mutation import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from conformance.model import CheckResult, Cluster
    from conformance.run import Work
    from conformance.scripts import Case, Script, Steps
    from mutations.mutation import Mutation

_PATIENCE = 4.0  # seconds


class Soil:
    """Where a mutation is planted: what the proxy does to requests and answers, and how often it did it."""

    def __init__(self) -> None:
        self.mutation: Mutation | None = None
        self.touched = 0

    def bend(self, asked: Asked) -> Asked | None:
        """Change what the server is asked."""
        mutation = self.mutation
        bent = mutation.bend(Call(asked)) if mutation and mutation.bend else None
        self.touched += bent is not None
        return bent

    def flip(self, asked: Asked, answered: Answered) -> Answered | None:
        """Change what the server answered."""
        mutation = self.mutation
        flipped = mutation.flip(Call(asked), answered) if mutation and mutation.flip else None
        self.touched += flipped is not None
        return flipped

    def stream(self, asked: Asked) -> Callable[[bytes], Iterable[bytes]] | None:
        """Change what a watch brings."""
        mutation = self.mutation
        if mutation is None or mutation.stream is None or not mutation.stream.when(Call(asked)):
            return None
        events = mutation.stream.fresh()

        def rewrite(line: bytes) -> Iterable[bytes]:
            told = [orjson.dumps(event) for event in events(orjson.loads(line))]
            self.touched += told != [line]
            return told

        return rewrite


class Laboratory:
    """A run on a server of ours, behind the proxy, whose checks are asked one by one."""

    def __init__(self, work: Work, soil: Soil, direct: Client) -> None:
        assert work.world is not None
        self._work, self._soil, self._world = work, soil, work.world
        self._subjects = {subject.id: subject for subject in subjects(work.world)}
        self._numbers = count(1)
        # Past the proxy: what answers are held against is no lie.
        self._schemas = Schemas(Documents(direct, work.snapshot.openapi))
        self._engine = Engine(
            work.plan,
            work.accesses,
            work.reviewer,
            work.placeholders,
            work.limits,
            user_agent=work.user_agent,
            scripts=self._script,
            validate=self._schemas.problems,
        )

    def close(self) -> None:
        """End the connections."""
        self._engine.close()

    def ask(self, test: str, mutation: Mutation | None = None) -> tuple[CheckResult, int]:
        """Ask `CHECK|subject` with a mutation planted; gives the result, and how much the mutation changed."""
        check, _, subject = test.partition("|")
        # A number of its own each time: names of a script that was cut short may still be taken.
        planned = Planned(check, self._subjects[subject], next(self._numbers))
        self._planted = mutation
        self._soil.touched = 0
        self._schemas.tally = Tally()
        driven = self._engine.script(planned)
        assert driven.ending is not None
        departures = self._schemas.tally.plain(self._work.placeholders.mask)["problems"]
        result = contract.result(planned, driven.ending, "admin", self._world.minor, departures)
        return result, self._soil.touched

    def _script(self, planned: Planned) -> tuple[Script, Case]:
        """Plant the mutation for as long as the script speaks: what it made is removed from the server as it is."""
        script, case = self._work.script(planned)

        def planted(case: Case) -> Steps:
            self._soil.mutation = self._planted
            try:
                yield from script(case) if self._planted is None else self._changed(script(case), self._planted)
            finally:
                self._soil.mutation = None

        return planted, case

    def _changed(self, steps: Steps, mutation: Mutation) -> Steps:
        """Send requests another way, and follow watches for less long: what was left out of one will not come."""

        def change(ask: Ask) -> Ask:
            turned = mutation.turn(ask) if mutation.turn else ask
            self._soil.touched += turned is not ask
            return replace(turned, seconds=min(ask.seconds or _PATIENCE, _PATIENCE)) if ask.is_watch else turned

        given: Any = None
        while True:
            try:
                wanted = steps.send(given)
            except StopIteration:
                return
            given = yield tuple(map(change, wanted)) if isinstance(wanted, tuple) else change(wanted)


@contextlib.contextmanager
def opened(cluster: Cluster, folder: Path) -> Iterator[Laboratory]:
    """Have a laboratory on an embedded control plane; on no other cluster, since it is lied about and written to."""
    if cluster.provider != "embedded" or not cluster.ours or not cluster.audit_log:
        raise ValueError(
            f"mutations are planted in front of the embedded control plane only, not of {cluster.provider}"
        )
    soil = Soil()
    with contextlib.ExitStack() as stack:
        strangers = Strangers()
        proxied = stack.enter_context(
            before(cluster, soil.flip, bend=soil.bend, stream=soil.stream, strangers=strangers)
        )
        options = replace(config.load({}, folder=folder, environment={}), mode="full", reports=folder)
        with mock.patch.object(run, "_open", return_value=(replace(proxied, audit_log=None), True)):
            ready = run.ready(options, stack, lambda _: None)
        strangers.admit(ready.work.accesses["@foreign-certificate"].certificate or b"")
        direct = stack.enter_context(Client(cluster.admin))
        laboratory = Laboratory(ready.work, soil, direct)
        stack.callback(laboratory.close)
        yield laboratory
