"""CBOR on a server that has it: a feature gate, for which the session's control plane is not started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cbor2
import pytest

from conformance import media
from conformance.clusters import embedded
from conformance.model import Verdict
from mutations.laboratory import opened
from mutations.mutation import Mutation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from faultproxy import Answered, Asked

    from mutations.laboratory import Laboratory
    from mutations.mutation import Call, Flip

pytestmark = pytest.mark.server

GATE = "--feature-gates=CBORServingAndStorage=true"
GADGETS = "kc-{run}.kube-conformance.io/v1/gadgets"
TESTS = ("MEDIA-CBOR|v1/configmaps", "MEDIA-CBOR|v1/secrets", "MEDIA-CBOR|apps/v1/deployments", f"MEDIA-CBOR|{GADGETS}")


def _of_cbor(edit: Callable[[Answered], Answered]) -> Flip:
    return lambda call, answered: edit(answered) if media.CBOR in call.header("accept") else None


def _other_value(answered: Answered) -> Answered:
    value = cbor2.loads(answered.body.removeprefix(media.CBOR_TAG))
    metadata = value[b"metadata"] if b"metadata" in value else value["metadata"]
    metadata[b"uid" if b"uid" in metadata else "uid"] = b"another"
    return answered._replace(body=media.CBOR_TAG + cbor2.dumps(value))


def _as_json(call: Call) -> Asked | None:
    kept = tuple(pair for pair in call.asked.headers if pair[0].lower() != "accept")
    return call.asked._replace(headers=(*kept, ("Accept", media.JSON))) if media.CBOR in call.header("accept") else None


MUTATIONS = (
    Mutation("other-in-cbor", "has other values in CBOR", TESTS, flip=_of_cbor(_other_value)),
    Mutation(
        "cbor-without-tag",
        "serves CBOR that does not say what it is",
        TESTS,
        flip=_of_cbor(lambda answered: answered._replace(body=answered.body.removeprefix(media.CBOR_TAG))),
    ),
    Mutation("json-for-cbor", "serves JSON to who takes CBOR alone", TESTS, bend=_as_json),
)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A run on a server that has CBOR, behind the proxy."""
    with (
        embedded.running(audit_log=True, extra_args=[GATE]) as cluster,
        opened(cluster, tmp_path_factory.mktemp("cbor")) as it,
    ):
        yield it


@pytest.mark.parametrize("test", TESTS)
def test_cbor_holds_the_same_object(serving: Laboratory, test: str) -> None:
    result, _ = serving.ask(test)
    assert result.verdict is Verdict.PASS, result.note


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("planted", [pytest.param(each, id=each.id) for each in MUTATIONS])
def test_what_is_wrong_with_cbor_is_noticed(serving: Laboratory, planted: Mutation, test: str) -> None:
    result, touched = serving.ask(test, planted)
    assert touched, f"the mutation changed nothing: {planted.says}"
    assert result.verdict is Verdict.FAIL, f"a server that {planted.says} is not noticed: {result.note}"
