"""What needs several requests: a generator that yields requests and receives replies, without a client or HTTP in it.

A script works in the words of the store: names of the run are `{run}`, `{own}`, `{other}`, and what the server gave to
its objects (uids, resourceVersions, moments, tokens) comes as numbered placeholders that it can send back. So it
receives the same when the engine drives it live and when a saved run is judged again, and says the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from conformance.model import Verdict
from conformance.placeholders import OTHER, OWN, RUN

if TYPE_CHECKING:
    from conformance.model import Catalog, Identity, Json, Mode, Resource

JSON = "application/json"
RUN_LABEL = "kube-conformance.io/run"
CASE_LABEL = "kube-conformance.io/case"  # which script of a run made it
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "kube-conformance"
HOLD = "kube-conformance.io/"  # what finalizers of ours begin with
LABELS = {MANAGED_BY: MANAGER, RUN_LABEL: RUN}
DRY_RUN = ("dryRun", "All")

ADMIN = ""  # the run's own access, as which checks ask unless they say otherwise
ADMIN_ACCESS = "\0admin"  # its key among the accesses of identities

Steps = Generator["Ask | tuple[Ask, ...]", Any, None]  # an Ask is answered by a Reply, a tuple by a tuple of them
Script = Callable[["Case"], Steps]
Memory = dict[str, Any]  # what a script's readings remember of answers; never stored
Reading = Callable[["Seen", Memory], Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer as it came, for a reading: real names, whole body. `document` is the body where it is JSON."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    document: Any


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of a script, its names as placeholders.

    `body` is JSON (sent compact), or bytes and text that are sent as they are, with a Content-Type of `headers`.
    `identity` is a name of the run's identities, ADMIN, or a credential `@NAME` of docs/checks.md.
    `read` makes of the answer what the script gets as `Reply.body` and what is stored; without it the objects of this
    script come whole, of all others only kind, apiVersion and name. What others write into an object of ours when they
    like is left out unless a script needs it: `managed` are its managedFields, `status` is the status of a kind that
    has a subresource of that name. A script that does not care whether somebody wrote it does without its
    resourceVersion, too, by `version`. `schema` says whether the script wants to know how the body departs from the
    server's own schema, against which each answer is held in any case.
    `expects` are statuses that would be asked again (429, 503, 504) and are an answer here; 0 means no answer at all.
    For a watch, `ends` says after which events it is over; it ends after `seconds` in any case. With `upgrade`, a
    subprotocol of WebSocket, the events are the messages of the connection instead: `[channel, text]`. `slow` says of
    another request that the server lets it wait on purpose.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    identity: str = ADMIN
    read: Reading | None = field(default=None, compare=False)
    managed: bool = False
    status: bool = False
    version: bool = True
    schema: bool = False
    expects: frozenset[int] = frozenset()
    ends: Callable[[list[Any]], bool] | None = field(default=None, compare=False)
    seconds: float = 0.0
    upgrade: str = ""
    slow: bool = False

    @property
    def is_watch(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.ends is not None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a script learns of an answer, and all that is stored of it. Header names are lower case, a few are kept.

    `events` are those of a watch, `ended` by whom: `server`, `client` (its time was over), or empty when it had brought
    what it was followed for. `problems` says how the body departs from the server's own schema, and `error` why the
    answer tells nothing of the server: none came, or none that counts.
    """

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    events: tuple[Any, ...] = ()
    ended: str = ""
    problems: tuple[str, ...] = ()
    audited: bool = True
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300  # noqa: PLR2004  # the class of success

    @property
    def reason(self) -> str:
        """The reason of a Status."""
        return str(self.get("reason") or "")

    @property
    def message(self) -> str:
        """The message of a Status."""
        return str(self.get("message") or self.error)

    def get(self, *path: str | int) -> Any:
        """Give what lies at a path in the body, None where nothing does."""
        return at(self.body, *path)

    def said(self) -> str:
        """Say the answer in a few words, for a note."""
        return " ".join(part for part in (str(self.status or ""), self.reason, self.message) if part)


def at(value: Any, *path: str | int) -> Any:
    """Give what lies at a path in a JSON value, None where nothing does."""
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return None
    return value


# --- how a script ends ------------------------------------------------------------------------------------------------


class End(Exception):  # noqa: N818  # not each end is an error
    """How a script ends before its last line; the message is the note of its result."""


class Violation(End):
    """The server does not do what the cited sentence says."""


class NotEvaluated(End):
    """It could not be found out, for this reason."""


class NotApplicable(End):
    """The statement says nothing of this subject, which only its answers tell."""


class Quirk(End):
    """A known departure of real servers; `name` is its id in fixtures/known-quirks.yaml."""

    def __init__(self, name: str, note: str) -> None:
        super().__init__(note)
        self.name = name


@dataclass(frozen=True, slots=True)
class Ending:
    """What a script came to, before anybody asked whether its violation is a known quirk."""

    verdict: Verdict
    note: str = ""


def shows(wanted: Any, got: Any) -> bool:
    """Whether a JSON value has all that another one says; a list has to have each of its members somewhere."""
    if isinstance(wanted, dict):
        return isinstance(got, dict) and all(shows(value, got.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(got, list) and all(any(shows(one, other) for other in got) for one in wanted)
    return bool(wanted == got)


def ending(raised: Exception | None) -> Ending:
    """Say what it means that a script ended so; None is its last line."""
    match raised:
        case None:
            return Ending(Verdict.PASS)
        case Violation():
            return Ending(Verdict.FAIL, str(raised))
        case Quirk(name=name):
            return Ending(Verdict.INFO, f"{name}: {raised}")
        case NotEvaluated():
            return Ending(Verdict.NOT_EVALUATED, str(raised))
        case NotApplicable():
            return Ending(Verdict.NOT_APPLICABLE, str(raised))
    return Ending(Verdict.ERROR, f"the check itself broke: {type(raised).__name__}: {raised}")


def fail(note: str) -> NoReturn:
    """End with a violation."""
    raise Violation(note)


def expect(holds: object, note: str) -> None:
    """End with a violation unless it holds."""
    if not holds:
        raise Violation(note)


def need(holds: object, note: str) -> None:
    """End as not evaluated unless it holds: a step that only prepares the question did not succeed."""
    if not holds:
        raise NotEvaluated(note)


def lost(asks: Iterable[Ask], replies: Iterable[Reply]) -> Ending | None:
    """Say how a script ends that got no answer where it needs one: nothing was found out, and nobody is accused."""
    for ask, reply in zip(asks, replies, strict=True):
        if reply.error and 0 not in ask.expects:
            return Ending(Verdict.NOT_EVALUATED, f"{ask.method} {ask.path}: {reply.error}")
    return None


# --- what a script is about -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """The smallest valid object of a resource, with `{name}` for its name, `{n}` for its number and `{own}`.

    `needs` are objects that have to be there first: (path of the collection, body). `change` is a merge patch of
    something that may change in its spec, `immutable` one that the server has to refuse; None where nothing is known.
    `settled` is what an object shows once the server's own controllers have written what they write into every new one.
    `origin` says where it is from. Without a `body`, `problem` says why there is none.
    `keeps_unknown` is true of a custom resource whose schema lets any field be.
    """

    body: Json | None = None
    needs: tuple[tuple[str, Json], ...] = ()
    change: Json | None = None
    immutable: Json | None = None
    settled: Json | None = None
    origin: str = ""
    problem: str = ""
    keeps_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """An escalation step that rules let an identity take, to be tried: of which kind, where (empty: everywhere).

    `target` is whom it would become, `role` the kind and name of the role that it would bind or change, `holder` who
    of those that it may impersonate it would be while it is a member of a group. `rights` are what a review is asked.
    """

    identity: str
    kind: str
    where: str = ""
    target: str = ""
    role: tuple[str, str] = ("", "")
    holder: str = ""
    rights: tuple[Json, ...] = ()

    @property
    def id(self) -> str:
        """The name of its subject."""
        places = {"": "", OWN: ":own", OTHER: ":other"}
        return f"step/{self.identity}/{self.kind}{places.get(self.where, f':ns.{self.where}')}"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a check is asked of: the server (no group version), a group version, or a resource or subresource of it.

    `parent` is the resource that a subresource belongs to. `sample` is that of the resource, or of the parent.
    """

    id: str
    group: str = ""
    version: str = ""
    resource: Resource | None = None
    parent: Resource | None = None
    sample: Sample | None = None
    custom: bool = False  # a custom resource
    aggregated: bool = False  # another server answers for it
    reports: bool = False  # its objects have a status that is written apart
    others: tuple[Resource, ...] = ()  # the same resource in other served versions
    trial: Trial | None = None  # an escalation step, and no part of the API

    @property
    def kind(self) -> str:
        """`server`, `group version`, `resource`, `subresource` or `step`."""
        if self.trial is not None:
            return "step"
        if self.resource is not None:
            return "subresource" if self.resource.subresource else "resource"
        return "group version" if self.version else "server"

    def has(self, *verbs: str) -> bool:
        """Whether the resource is served with all of these verbs."""
        return self.resource is not None and set(verbs) <= set(self.resource.verbs)


@dataclass(frozen=True, slots=True)
class World:
    """What is known of the cluster and the run when a script begins. `features` are what is there beside the server.

    `node`: a ready node; `pods`: an image with a shell that it can run, `pod_image`; `ours`: we created the cluster;
    `@NAME`: a credential that was prepared. `custom` are the names of custom resources, as `plural.group`.
    """

    catalog: Catalog
    identities: tuple[Identity, ...]
    mode: Mode
    server_version: str
    openapi: Mapping[str, str] = field(default_factory=dict)
    features: frozenset[str] = frozenset()
    custom: frozenset[str] = frozenset()
    samples: Mapping[str, Sample] = field(default_factory=dict)  # by the subject id of their resource
    pod_image: str = ""
    trials: tuple[Trial, ...] = ()

    @property
    def minor(self) -> int:
        """The server's minor version."""
        digits = self.server_version.removeprefix("v").split(".")[1] if "." in self.server_version else "0"
        return int("".join(letter for letter in digits if letter.isdigit()) or 0)


def subjects(world: World) -> Iterator[Subject]:
    """Give all that can be asked about: the server, each group version with its resources and subresources, steps."""
    yield Subject("server")
    parents: dict[str, Resource] = {}
    versions: dict[tuple[str, str, str], list[Resource]] = {}
    reporting = {(r.group_version, r.name) for r in world.catalog.resources if r.subresource == "status"}
    for resource in world.catalog.resources:
        versions.setdefault((resource.group, resource.name, resource.subresource), []).append(resource)
    last = ""
    for resource in world.catalog.resources:
        version = resource.group_version
        if version != last:
            last = version
            yield Subject(version, resource.group, resource.version, aggregated=version in world.catalog.aggregated)
        key = f"{version}/{resource.name}"
        if not resource.subresource:
            parents[key] = resource
        yield Subject(
            f"{version}/{resource.plural}",
            resource.group,
            resource.version,
            resource,
            parents.get(key) if resource.subresource else None,
            world.samples.get(key),
            custom=f"{resource.name}.{resource.group}" in world.custom,
            aggregated=version in world.catalog.aggregated,
            reports=(version, resource.name) in reporting,
            others=tuple(
                other
                for other in versions[resource.group, resource.name, resource.subresource]
                if other.version != resource.version
            ),
        )
    yield from (Subject(trial.id, trial=trial) for trial in world.trials)


@dataclass(frozen=True, slots=True)
class Planned:
    """A script in the plan: which check asks which subject, and its number in the run."""

    check: str
    subject: Subject
    number: int
    verb: str = ""  # the first of the verbs that it is about

    @property
    def id(self) -> str:
        """The stable name, as in `test_contract[LIST-LIMIT|apps/v1/deployments]`."""
        return f"{self.check}|{self.subject.id}"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a script asked, and the reply."""

    ask: Ask
    reply: Reply
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Case:
    """A check on a subject: what its script gets. `number` is its own in the run, so that no two make one name."""

    check: str
    subject: Subject
    number: int
    world: World

    @property
    def resource(self) -> Resource:
        """The resource (or subresource) that it is about."""
        assert self.subject.resource is not None  # noqa: S101  # a check of resources
        return self.subject.resource

    @property
    def main(self) -> Resource:
        """The resource itself, for a subresource its parent."""
        return self.subject.parent or self.resource

    def name(self, suffix: str = "a") -> str:
        """Name an object of this script."""
        return f"{self.prefix}{suffix}"

    @property
    def prefix(self) -> str:
        """How the names of this script's objects begin."""
        return f"kc-{RUN}-{self.number:x}-"

    @property
    def labels(self) -> dict[str, str]:
        """The labels that tell this script's objects from all others."""
        return LABELS | {CASE_LABEL: f"{self.number:x}"}

    @property
    def selector(self) -> tuple[str, str]:
        """The query that selects this script's objects."""
        return ("labelSelector", f"{RUN_LABEL}={RUN},{CASE_LABEL}={self.number:x}")

    def collection(self, namespace: str = OWN) -> str:
        """Give the path of the collection, in the run's namespace where the resource has one."""
        return collection_of(self.main, namespace)

    def item(self, name: str, namespace: str = OWN) -> str:
        """Give the path of an object; of a subresource, its path on that object."""
        path = f"{self.collection(namespace)}/{name}"
        return f"{path}/{self.resource.subresource}" if self.resource.subresource else path

    def object(self, suffix: str = "a", **metadata: Any) -> Json:
        """Build an object of the resource from its sample, with the labels that make it this run's."""
        if self.main.name == "clusterrolebindings" and "ours" not in self.world.features:
            raise NotApplicable("on a cluster of others no binding is made outside of the run's own namespaces")
        sample = self.subject.sample
        if sample is None or sample.body is None:
            raise NotEvaluated(sample.problem if sample else "no object of this kind is known")
        return filled(sample.body, self, suffix, **metadata)

    def name_of(self, body: Json) -> str:
        """Give the name in an object: of some kinds it has a meaning, so that the sample chooses it."""
        return str(body["metadata"]["name"])

    def needed(self, suffix: str = "a") -> Steps:
        """Create what the sample of an object needs to be there first."""
        sample = self.subject.sample
        for path, body in sample.needs if sample else ():
            reply: Reply = yield Ask("POST", fill(path, self, suffix), body=filled(body, self, suffix))
            need(reply.ok or reply.status == 409, f"what it needs could not be created: {reply.said()}")  # noqa: PLR2004

    def created(self, suffix: str = "a", **metadata: Any) -> Generator[Ask | tuple[Ask, ...], Any, Reply]:
        """Create an object, and give the reply of its creation: `made = yield from case.created()`."""
        body = self.object(suffix, **metadata)
        yield from self.needed(suffix)
        reply: Reply = yield Ask("POST", self.collection(), body=body)
        need(reply.status == 201, f"no object could be created: {reply.said()}")  # noqa: PLR2004  # Created
        return reply


def collection_of(resource: Resource, namespace: str = OWN) -> str:
    """Give the path of a resource's collection."""
    inside = f"/namespaces/{namespace}" if resource.namespaced and namespace else ""
    return f"{resource.prefix}{inside}/{resource.name}"


def fill(text: str, case: Case, suffix: str) -> str:
    """Put the name and number of a script's object into a text of its sample; `{host}` ends an address of its own."""
    if "{host}" in text:
        number = zlib.crc32(case.name(suffix).encode())
        # Two parts without leading zeros, as an address is canonically written.
        text = text.replace("{host}", f"{number >> 16 | 0x1000:x}:{number & 0xFFFF | 0x1000:x}")
    return text.replace("{name}", case.name(suffix)).replace("{n}", str(case.number))


def filled(body: Json, case: Case, suffix: str, **metadata: Any) -> Json:
    """Make an object of a sample: names filled in, and labelled as this run's."""

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return fill(value, case, suffix)
        if isinstance(value, dict):
            return {walk(key): walk(member) for key, member in value.items()}
        return [walk(member) for member in value] if isinstance(value, list) else value

    made: Json = walk(body)
    held = {"name": case.name(suffix)} | made.get("metadata", {}) | metadata
    held["labels"] = case.labels | (held.get("labels") or {})
    if held["name"] is None and not metadata.get("generateName"):
        return made | {"metadata": {}}  # of what is no object but a question; it bears no labels
    return made | {"metadata": {key: value for key, value in held.items() if value is not None}}


def replay(script: Script, case: Case, exchanges: Iterable[Exchange]) -> Ending:
    """Let a script speak again over what was stored; it has to ask just what it asked then."""
    stored = iter(exchanges)
    steps = script(case)
    given: Any = None
    try:
        while True:
            wanted = steps.send(given)
            asks = wanted if isinstance(wanted, tuple) else (wanted,)
            replies = []
            for ask in asks:
                held = next(stored, None)
                if held is None:
                    return Ending(Verdict.NOT_EVALUATED, "the run ended before its last answer")
                if (held.ask.method, held.ask.path) != (ask.method, ask.path):
                    return Ending(Verdict.ERROR, "the run was made by another version of this check; audit again")
                replies.append(held.reply)
            if unheard := lost(asks, replies):
                return unheard
            given = tuple(replies) if isinstance(wanted, tuple) else replies[0]
    except StopIteration:
        return ending(None)
    except Exception as raised:  # noqa: BLE001  # whatever a check raises is its ending
        return ending(raised)
    finally:
        steps.close()


__all__ = [
    "ADMIN",
    "ADMIN_ACCESS",
    "CASE_LABEL",
    "DRY_RUN",
    "HOLD",
    "JSON",
    "LABELS",
    "MANAGED_BY",
    "MANAGER",
    "OTHER",
    "OWN",
    "RUN",
    "RUN_LABEL",
    "Ask",
    "Case",
    "End",
    "Ending",
    "Exchange",
    "Memory",
    "NotApplicable",
    "NotEvaluated",
    "Planned",
    "Quirk",
    "Reading",
    "Reply",
    "Sample",
    "Script",
    "Seen",
    "Steps",
    "Subject",
    "Violation",
    "World",
    "at",
    "collection_of",
    "ending",
    "expect",
    "fail",
    "filled",
    "lost",
    "need",
    "replay",
    "shows",
    "subjects",
]
