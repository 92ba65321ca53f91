"""pytest as the runner: items for endpoints, the engine running ahead of them, and the run's end.

One process asks and judges by itself. Under xdist the controller prepares everything and workers get it, ask what they
are given and one item ahead, so that no cell is asked twice; rows travel back on their reports.
"""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance import config as options_of
from conformance import contract, matrix, moments, report, run, schemas, sight, store
from conformance.clusters.processes import Programs
from conformance.engine import Counters, Engine
from conformance.errors import ClusterError, ConformanceError, UsageError
from conformance.expectations import judging
from conformance.judge import Judge
from conformance.model import Cell, Verdict
from conformance.plan import Row
from conformance.progress import Progress
from conformance.report.differences import Comparison, document
from conformance.risks.severity import at_least
from conformance.schemas import Schemas
from conformance.scripts import ADMIN_ACCESS, Planned

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from conformance.config import Options
    from conformance.expectations import Expectation
    from conformance.model import CheckResult, Finding, Gate, Matrix, Rbac
    from conformance.risks.rule import Risk
    from conformance.run import Ready, Work

_CONTRACT = Path(__file__).resolve().parent / "suites" / "test_contract.py"
_EXPECTATIONS = _CONTRACT.with_name("test_expectations.py")
_RISKS = _CONTRACT.with_name("test_risks.py")
_LINE = "kube_conformance_row"  # the attribute of a report that carries a row's line
_ROW = pytest.StashKey["Row | Planned"]()
_INTERRUPTED, _FAILED = 2, 1
_UNFINISHED = ".partial-"
_REREAD_SECONDS = 2.0
_NO_CLUSTER = (
    "no cluster to ask: run `kube-conformance audit`, which starts one; or `kube-conformance cluster up`, and pytest"
    " with --conformance-context default; or pytest with --conformance-cluster kubeconfig --conformance-context NAME"
)


def for_config(config: pytest.Config) -> Asker | Controller:
    """Make the plugin of this process: a worker's asks, any other one's prepares (and asks, without xdist)."""
    if hasattr(config, "workerinput"):
        work: Work = pickle.loads(config.workerinput[options_of.WORKER_KEY])  # noqa: S301  # from our own controller
        return Asker(work)
    return Controller(options_of.load(options_of.from_pytest(config)))


class Asker:
    """Collects the items of a plan, asks them and judges them."""

    def __init__(self, work: Work | None) -> None:
        self.work = work
        self.counters = Counters()
        self._engine: Engine | None = None
        self._judge: Judge | None = None
        self.judged: dict[str, tuple[Cell, ...]] = {}  # of this process, so that they need not be judged once more
        self.results: dict[str, CheckResult] = {}
        self.schemas: Schemas | None = None
        self.answered: dict[str, Any] = {}  # what other processes told of their answers
        self._lines: dict[str, bytes] = {}
        self._found: dict[str, list[Finding]] | None = None  # those that fail the run, by rule
        self._ground: judging.Ground | None = None
        self._distributed = work is not None
        self._beyond: frozenset[str] = frozenset()  # rows that --max-requests leaves no request for
        self.lost = ""  # why the server can be asked no more

    # --- collection ---

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Parametrize over the endpoints of the plan, or over its scripts."""
        if not metafunc.module.__name__.startswith("conformance.suites"):
            return
        if "endpoint" in metafunc.fixturenames:
            rows = [_param(row) for row in self.rows()]
            metafunc.parametrize("endpoint", rows or [pytest.param(None, id="no-cluster")])
        elif "contract" in metafunc.fixturenames:
            metafunc.parametrize("contract", [_contract_param(each) for each in self.scripts()])
        elif "expectation" in metafunc.fixturenames:
            metafunc.parametrize("expectation", [pytest.param(each, id=each.id) for each in self.expectations()])
        elif "risk" in metafunc.fixturenames:
            risks = self.work.risks() if self.work else ()
            metafunc.parametrize("risk", [pytest.param(each, id=each.id) for each in risks])

    def scripts(self) -> Iterable[Planned]:
        """Give the scripts to make items of."""
        return self.work.plan.scripts if self.work else ()

    def rows(self) -> Iterable[Row]:
        """Give the rows to make items of."""
        return self.work.plan.rows if self.work else ()

    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Remember an item's row where it is quickly found."""
        spec = getattr(item, "callspec", None)
        found = [spec.params.get(name) for name in ("endpoint", "contract")] if spec is not None else []
        for unit in found:
            if isinstance(unit, Row | Planned):
                item.stash[_ROW] = unit

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave suites out that have nothing to ask here: what is not asked needs no item."""
        if collection_path == _CONTRACT:
            return not any(True for _ in self.scripts()) or None
        if collection_path == _RISKS and self.work is None:
            return True
        return (collection_path == _EXPECTATIONS and not self.expectations()) or None

    def expectations(self) -> tuple[Expectation, ...]:
        """Give the lines of the user's expectations."""
        return self.work.expectations if self.work else ()

    # --- asking ---

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Tell the engine what will be wanted, in the order that is left after deselection."""
        if self.work is None or session.config.option.collectonly or not session.items:
            return
        chosen = [unit for item in session.items if (unit := item.stash.get(_ROW, None)) is not None]
        self._beyond = self.work.beyond(chosen)
        self._judge = Judge(self.work.plan.identities, self.work.plan.oracles, self.work.rules())
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not walk through it again and again
        self.schemas = Schemas(self.work.documents) if self.work.documents is not None else None
        self._engine = Engine(
            self.work.plan,
            self.work.accesses,
            self.work.reviewer,
            self.work.placeholders,
            self.work.limits,
            user_agent=self.work.user_agent,
            scripts=self.work.script,
            validate=self.schemas.problems if self.schemas is not None else None,
        )
        self.counters = self._engine.counters
        if not self._distributed:
            self._engine.run_ahead(self._affordable(session.items))

    def _affordable(self, items: Iterable[pytest.Item]) -> Iterator[Row | Planned]:
        for item in items:
            row = item.stash.get(_ROW, None)
            if row is not None and row.id not in self._beyond:
                yield row

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Under xdist: begin this item's requests and the next one's, and no others."""
        if self._distributed and self._engine is not None:
            for row in self._affordable(it for it in (item, nextitem) if it is not None):
                self._engine.begin(row)

    def cells(self, row: Row) -> tuple[Cell, ...]:
        """Ask a row (or wait for what runs ahead), keep its line for the store, and judge it."""
        assert self.work is not None  # noqa: S101  # there are no items without work
        assert self._engine is not None  # noqa: S101
        assert self._judge is not None  # noqa: S101
        if row.id in self._beyond:
            pytest.skip("not evaluated: beyond --max-requests")
        answers = self._engine.answers(row)
        self._end_in_silence(answer.error for answer in answers.values())
        self._lines[row.id] = store.row_line(row, answers)
        cells = self._judge.row(row, answers)
        if any(cell.verdict is Verdict.FAIL for cell in cells) and self.policy_changed(row):
            pytest.skip("not evaluated yet: the policy changed during the run; asked again after the last probe")
        self.judged[row.id] = cells
        return cells

    def checked(self, planned: Planned) -> CheckResult:
        """Drive a script to its end (or wait for what runs ahead), keep its line for the store, and give its result."""
        assert self.work is not None  # noqa: S101  # there are no items without work
        assert self.work.world is not None  # noqa: S101
        assert self._engine is not None  # noqa: S101
        if planned.id in self._beyond:
            pytest.skip("not evaluated: beyond --max-requests")
        driven = self._engine.script(planned)
        assert driven.ending is not None  # noqa: S101  # it has ended
        self._end_in_silence("" if each.reply.status else each.reply.error for each in driven.exchanges)
        self._lines[planned.id] = store.script_line(planned, driven.exchanges, driven.ending)
        world = self.work.world
        departures = self.answers().get("problems", {}) if contract.gathers(planned.check) else {}
        result = contract.result(planned, driven.ending, contract.asker(world.identities), world.minor, departures)
        self.results[planned.id] = result
        return result

    def answers(self) -> dict[str, Any]:
        """Give what all processes know of their answers: how many were validated, and what was wrong with which."""
        if self.schemas is None or self.work is None:
            return self.answered
        return schemas.added(self.schemas.tally.plain(self.work.placeholders.mask), self.answered)

    def _end_in_silence(self, errors: Iterable[str]) -> None:
        """End the run when the server is gone: each row that is left would only wait for nobody."""
        assert self.work is not None  # noqa: S101  # something was asked
        found = list(errors)
        if self.lost or (found and all(found) and (problem := sight.silence(self.work.accesses[ADMIN_ACCESS]))):
            self.lost = self.lost or problem
            pytest.fail(self.lost, pytrace=False)

    def _stop(self, session: pytest.Session) -> None:
        """Let no item follow the one with which the server was gone; a worker's others say the same at once."""
        if self.lost and not self._distributed:
            session.shouldstop = self.lost

    def policy_changed(self, row: Row) -> bool:
        """Say whether RBAC decides a row otherwise by now; a worker can't tell and leaves it to the controller."""
        del row
        return False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Let the row travel on the report of the phase in which it was asked."""
        report = yield
        row = item.stash.get(_ROW, None)
        if row is not None and call.when == "setup" and (line := self._lines.pop(row.id, None)) is not None:
            setattr(report, _LINE, line)
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand a worker's counters to the controller."""
        self.close()
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            counted = [self.counters.sent, self.counters.retried, self.counters.failed]
            output[options_of.WORKER_KEY] = [*counted, self.answers()]

    def close(self) -> None:
        """End the connections."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def accepted(self, name: str) -> str:
        """Say why a failure of this id is accepted, empty when it is not."""
        return self.work.agreed.why(name) if self.work else ""

    @pytest.fixture(name="accepted")
    def _accepted(self) -> Callable[[str], str]:
        """Give what says of a failure why it is accepted."""
        return self.accepted

    @pytest.fixture(name="cells")
    def _cells(self, endpoint: Row | None, request: pytest.FixtureRequest) -> tuple[Cell, ...]:
        """Give the judged cells of an endpoint; what could not be judged is an error or a skip, never a pass."""
        if endpoint is None or self._engine is None:
            pytest.fail(_NO_CLUSTER, pytrace=False)
        try:
            cells = self.cells(endpoint)
        finally:
            self._stop(request.session)
        errors = [cell for cell in cells if cell.verdict is Verdict.ERROR]
        whys = [self.accepted(f"cell-failed:{cell.subject}") for cell in errors]
        failing = any(cell.verdict is Verdict.FAIL for cell in cells)
        if errors and all(whys) and not failing:
            pytest.xfail("; ".join(dict.fromkeys(whys)))
        if errors and not failing:
            pytest.fail("; ".join(f"{cell.identity}: {cell.note}" for cell in errors), pytrace=False)
        alike = {it.name for it in self.work.plan.identities if it.alike} if self.work else set()
        skipped = [cell for cell in cells if cell.verdict is Verdict.NOT_EVALUATED and cell.identity not in alike]
        if skipped and not failing:
            pytest.skip("not evaluated: " + "; ".join(f"{cell.identity}: {cell.note}" for cell in skipped))
        return cells

    @pytest.fixture(name="result")
    def _result(self, contract: Planned | None, request: pytest.FixtureRequest) -> CheckResult:
        """Give the result of a check on a subject; what could not be found out is an error or a skip, never a pass."""
        if contract is None or self._engine is None:
            pytest.fail(_NO_CLUSTER, pytrace=False)
        try:
            result = self.checked(contract)
        finally:
            self._stop(request.session)
        if result.verdict is Verdict.ERROR:
            if why := self.accepted(f"check-failed:{result.id}|{result.resource}"):
                pytest.xfail(why)
            pytest.fail(result.note, pytrace=False)
        if result.verdict in {Verdict.NOT_EVALUATED, Verdict.NOT_APPLICABLE}:
            pytest.skip(f"{result.verdict.replace('-', ' ')}: {result.note}")
        return result

    @pytest.fixture(name="findings")
    def _findings(self, risk: Risk) -> tuple[Finding, ...]:
        """Give the findings of a risk rule that fail the run."""
        assert self.work is not None  # noqa: S101  # there are no items without work
        if self._found is None:
            self._found = {}
            for finding in self.work.findings():
                if at_least(finding.severity, self.work.fail_on):
                    self._found.setdefault(finding.rule, []).append(finding)
        return tuple(self._found.get(risk.id, ()))

    @pytest.fixture(name="expected")
    def _expected(self, expectation: Expectation) -> CheckResult:
        """Hold a line against the cells that this process has judged, and against the rules."""
        if self._distributed or self.work is None:
            pytest.skip("judged when every process has asked: see the run's reports")
        if self._ground is None:
            plan = self.work.plan
            cells = (cell for them in self.judged.values() for cell in them)
            asked = judging.AskedCells((row.endpoint for row in plan.rows), cells, plan.namespaces)
            self._ground = judging.of_run(self.work.snapshot, plan.identities, asked)
        result = judging.judge(expectation, self._ground)
        if result.verdict is Verdict.NOT_EVALUATED:
            pytest.skip(f"not evaluated: {result.note}")
        return result


def _contract_param(planned: Planned) -> Any:
    subject, resource = planned.subject, planned.subject.resource
    mark = pytest.mark.endpoint(
        group=subject.group,
        version=subject.version,
        resource=resource.name if resource else "",
        subresource=resource.subresource if resource else "",
        verb=planned.verb,
        scope="own" if resource and resource.namespaced else "cluster",
    )
    return pytest.param(planned, id=planned.id, marks=mark)


def _param(row: Row) -> Any:
    endpoint = row.endpoint
    mark = pytest.mark.endpoint(
        group=endpoint.group,
        version=endpoint.version,
        resource=endpoint.resource,
        subresource=endpoint.subresource,
        verb=endpoint.verb,
        scope=endpoint.scope,
    )
    return pytest.param(row, id=row.id, marks=mark)


class Controller(Asker):
    """The process that the user started: has the cluster, the identities, the snapshot, and writes the run."""

    __name__ = "kube-conformance-runner"  # the name under which pytest registers it

    def __init__(
        self,
        options: Options,
        shown: Progress | None = None,
        *,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        super().__init__(None)
        self.options = options
        self._shown = shown or Progress(sys.stderr, quiet=True)
        self._quiet, self._verbose = quiet, verbose
        self.matrix: Matrix | None = None
        self.directory: Path | None = None
        self._stack = ExitStack()
        self._segment = store.Segment()
        self._ready: Ready | None = None
        self._selected: set[str] | None = None
        self._lists = False
        self._interrupted = ""
        self._reread: tuple[float, Rbac] | None = None

    def prepare(self, selection: str) -> None:
        """Go through every stage before the first probe."""
        _writable(self.options.reports)
        keep = self._segment.add_document
        self._ready = run.ready(self.options, self._stack, self._shown.say, selection, keep=keep)
        self.work = self._ready.work

    @property
    def ready(self) -> Ready:
        """What was prepared."""
        assert self._ready is not None  # noqa: S101  # prepare() comes first
        return self._ready

    def undo(self) -> None:
        """Let go of everything: connections, identities, cluster."""
        self.close()
        self._segment.close()
        self._stack.close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Prepare before collection, so that items can be made of what is really served."""
        self._lists = bool(session.config.option.collectonly)
        if self.work is None and not session.config.option.collectonly and self._named():
            try:
                self.prepare(_selection(session.config))
            except ConformanceError as problem:
                self._stack.close()
                raise pytest.UsageError(str(problem)) from None

    def _named(self) -> bool:
        """Say whether there is a cluster without starting one: pytest by itself never builds or creates any."""
        return self.options.cluster == "kubeconfig" or self.options.context is not None

    def rows(self) -> Iterable[Row]:
        """Give the plan's rows; to be listed only, those of the last run will do."""
        if self.work is not None or not self._lists:
            return super().rows()
        try:
            return [stored.row for stored in store.SavedRun(self.options.reports / "latest").rows() if not stored.again]
        except ConformanceError:
            return ()

    def scripts(self) -> Iterable[Planned]:
        """Give the plan's scripts; to be listed only, those of the last run will do."""
        if self.work is not None or not self._lists:
            return super().scripts()
        try:
            return matrix.planned(store.SavedRun(self.options.reports / "latest"))
        except ConformanceError:
            return ()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker all that it needs, and its part of how hard the server may be asked."""
        self._distributed = True
        work, workers = self.ready.work, node.workerinput["workercount"]
        limits = work.limits
        part = replace(limits, concurrency=max(1, limits.concurrency // workers), qps=limits.qps / workers)
        node.workerinput[options_of.WORKER_KEY] = pickle.dumps(replace(work, limits=part))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take a worker's counters."""
        told = getattr(node, "workeroutput", {}).get(options_of.WORKER_KEY, (0, 0, 0, {}))
        sent, retried, failed, answered = told
        self.answered = schemas.added(self.answered, answered)
        self.counters.sent += sent
        self.counters.retried += retried
        self.counters.failed += failed
        if error:
            self._interrupted = f"a worker ended early: {error}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Learn which rows the workers were left with after deselection."""
        del node
        self._selected = {found.rpartition("]")[0].partition("[")[2] for found in ids}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learn which rows are left after deselection."""
        if session.items:
            units = (item.stash.get(_ROW, None) for item in session.items)
            self._selected = {unit.id for unit in units if unit is not None}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what was asked, whoever asked it."""
        line = getattr(report, _LINE, None)
        if line is not None:
            row = report.nodeid.rpartition("]")[0].partition("[")[2]
            self._segment.add(row, line)
            delattr(report, _LINE)
            if self._ready is not None:
                self._ready.prepared.beat()

    def pytest_keyboard_interrupt(self) -> None:
        """Remember why the run is not whole."""
        self._interrupted = "interrupted"

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Settle, write, judge and publish, whatever happened; then undo all that was made."""
        try:
            if self._ready is not None and self._selected is not None and not session.config.option.collectonly:
                stopped = session.shouldfail or session.shouldstop
                if stopped and not self._interrupted:
                    self._interrupted = str(stopped)
                self._finish(self._ready)
                session.exitstatus = self.exit_code()
        finally:
            self.undo()

    def exit_code(self) -> int:
        """Give the exit code of the command: 5 the server is gone, 2 interrupted, 1 failed or partial, 0 else."""
        if self.lost:
            return ClusterError.exit_code
        if self._interrupted == "interrupted":
            return _INTERRUPTED
        if self.matrix is None:
            return _FAILED
        return matrix.exit_code(self.matrix, allow_partial=self.options.allow_partial)

    def _finish(self, made: Ready) -> None:
        self._shown.note("reading the rules once more, judging, writing the reports")
        rows = [row for row in made.work.plan.rows if self._selected is None or row.id in self._selected]
        after = self._settle(made, rows) if not self._interrupted else None
        counters = self.counters
        tail = store.Tail(
            seconds=round(time.monotonic() - made.started, 3),
            sent=counters.sent,
            retried=counters.retried,
            failed=counters.failed,
            planned=len(rows) * len(made.work.plan.identities),
            interrupted=self._interrupted,
            answers=self.answers(),
        )
        reports = self.options.reports
        reports.mkdir(parents=True, exist_ok=True)
        # In a folder that a killed audit does not leave behind; what is whole leaves it, each in one step.
        with Programs(reports, _UNFINISHED) as home:
            partial = home.directory / made.head.id
            partial.mkdir()
            self._write(made, partial, rows, tail, after)
            latest = home.directory / "latest"
            latest.symlink_to(made.head.id)
            partial.chmod(0o755)
            self.directory = partial.rename(reports / made.head.id)
            latest.replace(reports / "latest")

    def _write(self, made: Ready, folder: Path, rows: Sequence[Row], tail: store.Tail, after: Rbac | None) -> None:
        """Store what was seen, judge it, and render it."""
        file = folder / store.FILE
        store.write(
            file,
            made.head,
            made.work.snapshot,
            rows,
            self._segment,
            tail=tail,
            after=None if after is None else replace(made.work.snapshot, rbac=after),
            scripts=[each for each in made.work.plan.scripts if self._selected is None or each.id in self._selected],
            world=made.work.world,
        )
        saved = store.SavedRun(file)
        self.matrix = matrix.judged(saved, self.judged, self.results)
        if made.work.agreed:
            self.matrix = replace(self.matrix, gate=self._gate(made, saved, folder))
        report.write_all(self.matrix, folder, matrix.StoredEvidence(saved))

    def _gate(self, made: Ready, saved: store.SavedRun, folder: Path) -> Gate:
        """Decide by baseline, waivers and policy, and leave what was decided beside the run."""
        agreed = made.work.agreed
        now = moments.of_run(saved, self.matrix)
        decided, complaints = agreed.decide(now)
        earlier = (agreed.baseline_name, "", "") if agreed.baseline else None
        told = Comparison(decided, now.side, earlier, complaints)
        report.write(folder / document.FILE, document.render(told))
        for sentence in complaints:
            self._shown.note(sentence)
        return decided

    def policy_changed(self, row: Row) -> bool:
        """Read RBAC again before a cell is called a failure, though not more often than every other second."""
        now = time.monotonic()
        if self._reread is None or now - self._reread[0] > _REREAD_SECONDS:
            self._reread = (now, run.reread(self.ready))
        return bool(self._changed(self._reread[1], [row]))

    def _changed(self, after: Rbac, rows: list[Row]) -> list[Row]:
        work = self.ready.work
        return matrix.changed_rows(work.snapshot.rbac, after, work.plan.identities, rows)

    def _settle(self, made: Ready, rows: list[Row]) -> Rbac | None:
        """Read RBAC once more; ask again what it decides otherwise now."""
        after = run.reread(made)
        changed = self._changed(after, [row for row in rows if row.id in self._segment])
        if not changed:
            return None
        if self._engine is None:
            work = made.work
            self._engine = Engine(work.plan, work.accesses, work.reviewer, work.placeholders, work.limits)
            self._engine.counters = self.counters
        for row in changed:
            self._segment.add(row.id, store.row_line(row, self._engine.answers(row), again=True))
        return after

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what came out and where it is."""
        if self.matrix is None or self.directory is None:
            return
        from conformance.report import terminal  # noqa: PLC0415  # only those who have a run need it

        live = terminalreporter.isatty
        drawn = terminal.draw(
            self.matrix,
            width=shutil.get_terminal_size().columns if live else terminal.WIDTH,
            coloured=live and terminal.colours(sys.stdout, os.environ),
            quiet=self._quiet,
            verbose=self._verbose,
        )
        if not self._quiet:
            terminalreporter.section("kube-conformance")
        terminalreporter.write(drawn)
        terminalreporter.write_line(f"reports: {self.directory}")
        if not self._quiet:
            others = ", ".join(sorted(path.name for path in self.directory.iterdir() if path.name != "matrix.html"))
            terminalreporter.write_line(f"  open {self.directory / 'matrix.html'}; beside it {others}")


def _writable(reports: Path) -> None:
    """Refuse a folder that no run can be written to before a run is made for it."""
    there = next(each for each in (reports.absolute(), *reports.absolute().parents) if each.exists())
    if not there.is_dir():
        raise UsageError(f"--reports {reports}: {there} is no folder")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as problem:
        raise UsageError(
            f"--reports {reports}: nothing can be written in {there} ({problem.strerror}); name another folder"
        ) from None


def _selection(config: pytest.Config) -> str:
    """Say in words of the command line what was chosen of the plan."""
    parts = [f"-k {config.option.keyword}"] if config.option.keyword else []
    parts += [f"-m {config.option.markexpr}"] if config.option.markexpr else []
    return " ".join(parts)
