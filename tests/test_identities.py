"""Identities come out of files and onto a cluster as described, and go without a trace."""

from __future__ import annotations

import datetime as dt
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance.errors import FileError, IdentityError, UsageError
from conformance.identities import Spec, default_path, kinds, lease, leftovers, load, select
from conformance.identities.stage import Prepared, prepare
from conformance.model import Access, Cluster
from conformance.transport import Client, expect_json

if TYPE_CHECKING:
    from collections.abc import Iterator

# --- files ------------------------------------------------------------------------------------------------------------


def specs_of(folder: Path, content: str) -> tuple[Spec, ...]:
    file = folder / "identities.yaml"
    file.write_text("identities:\n" + textwrap.indent(textwrap.dedent(content).strip(), "  ") + "\n", "utf-8")
    return load(file)


def test_the_packaged_set_reads_and_has_what_an_audit_needs() -> None:
    specs = load(default_path())
    assert len(specs) >= 10
    assert {spec.kind for spec in specs} <= set(kinds())
    wanted = {"cluster-admin", "admin", "edit", "view", "cluster-reader", "node", "unbound", "anonymous", "invalid"}
    assert wanted <= {spec.name for spec in specs}
    assert any("resourceNames" in rule for spec in specs for binding in spec.bind for rule in binding.rules)


def test_names_are_filled_in_everywhere(tmp_path: Path) -> None:
    (spec,) = specs_of(
        tmp_path,
        """
        - name: one
          kind: impersonate
          groups: ["{run}:devs"]
          extra: {scope: ["{own}", "{other}"]}
          bind:
            - {clusterRole: "role-{run}", in: own, group: "{run}:devs"}
            - {role: {rules: [{apiGroups: [""], resources: [pods], resourceNames: ["{own}"], verbs: [get]}]}}
        """,
    )
    filled = spec.filled(lambda text: text.replace("{run}", "r").replace("{own}", "o").replace("{other}", "p"))
    assert filled.settings == {"groups": ("r:devs",), "extra": {"scope": ("o", "p")}}
    assert (filled.bind[0].role, filled.bind[0].group) == ("role-r", "r:devs")
    assert filled.bind[1].rules[0]["resourceNames"] == ("o",)
    assert (filled.bind[1].kind, filled.bind[1].place) == ("Role", "own")


MISTAKES = {
    "unknown key": ("- {name: a, kind: anonymous, user: b}", 2, "'user'; valid keys: name, kind, bind, expect"),
    "key of another kind": ("- {name: a, kind: token, groups: [b]}", 2, "token, tokenFile"),
    "no kind": ("- {name: a}", 2, "valid: anonymous, certificate"),
    "no name": ("- {kind: anonymous}", 2, "'name' is missing"),
    "unknown kind": ("- {name: a, kind: saml}", 2, "'saml' is not one of: anonymous, certificate"),
    "bad name": ("- {name: A_b, kind: anonymous}", 2, "no name"),
    "name twice": ("- {name: a, kind: anonymous}\n- {name: a, kind: anonymous}", 3, "line 2 already"),
    "expect": ("- {name: a, kind: anonymous, expect: refused}", 2, "authenticated, unauthenticated"),
    "placeholder": ('- {name: a, kind: impersonate,\n   user: "{me}"}', 3, "valid: {run}, {own}, {other}"),
    "no role": ("- name: a\n  kind: serviceaccount\n  bind:\n  - {in: own}", 5, "role, clusterRole"),
    "two roles": ("- name: a\n  kind: serviceaccount\n  bind:\n  - {role: x, clusterRole: y}", 5, "role, clusterRole"),
    "role in the cluster": ("- {name: a, kind: serviceaccount, bind: [{role: x, in: cluster}]}", 2, "clusterRole"),
    "place": ("- {name: a, kind: serviceaccount, bind: [{role: x, in: A}]}", 2, "own, other, cluster"),
    "strange group": ("- {name: a, kind: impersonate, groups: [b], bind: [{role: x, group: c}]}", 2, "its groups: b"),
    "no verbs": ("- {name: a, kind: serviceaccount, bind: [{role: {rules: [{verbs: []}]}}]}", 2, "verbs"),
    "no resources": ('- {name: a, kind: serviceaccount, bind: [{role: {rules: [{verbs: ["*"]}]}}]}', 2, "apiGroups"),
    "no rules": ("- {name: a, kind: serviceaccount, bind: [{role: {rules: []}}]}", 2, "has to hold a rule"),
    "paths in a role": (
        "- {name: a, kind: serviceaccount, bind: [{role: {rules: [{nonResourceURLs: [/x], verbs: [get]}]}}]}",
        2,
        "clusterRole",
    ),
    "key of a rule": ("- {name: a, kind: serviceaccount, bind: [{role: {rules: [{verb: [get]}]}}]}", 2, "verbs"),
    "bound though refused": (
        "- {name: a, kind: token, expect: unauthenticated, bind: [{clusterRole: view}]}",
        2,
        "not authenticated",
    ),
    "bound though unknown": ("- {name: a, kind: token, token: abc, bind: [{clusterRole: view}]}", 2, "only the server"),
    "two tokens": ("- {name: a, kind: token, token: abc, tokenFile: x}", 2, "keep one"),
    "no token": ("- {name: a, kind: token}", 2, "expect: unauthenticated"),
    "foreign and trusted": ("- {name: a, kind: certificate, ca: foreign}", 2, "expect: unauthenticated"),
    "expired and trusted": ("- {name: a, kind: certificate, expired: true}", 2, "expect: unauthenticated"),
    "refused for nothing": ("- {name: a, kind: certificate, expect: unauthenticated}", 2, "ca: foreign"),
    "refused account": ("- {name: a, kind: serviceaccount, expect: unauthenticated}", 2, "drop the key"),
    "refused impersonation": ("- {name: a, kind: impersonate, expect: unauthenticated}", 2, "drop the key"),
    "the account default": ("- {name: default, kind: serviceaccount}", 2, "give another"),
    "nobody": ("[]", None, "names nobody"),
}


@pytest.mark.parametrize(("content", "line", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_error_with_its_line(tmp_path: Path, content: str, line: int | None, words: str) -> None:
    with pytest.raises(FileError) as caught:
        specs_of(tmp_path, content)
    assert words in str(caught.value)
    assert line is None or caught.value.line == line


def test_no_error_and_no_repr_shows_a_token(tmp_path: Path) -> None:
    (spec,) = specs_of(tmp_path, "- {name: a, kind: token, token: hunter2}")
    assert "hunter2" not in repr(spec)
    with pytest.raises(FileError) as caught:
        specs_of(tmp_path, '- {name: a, kind: token, token: "hunter2 hunter3"}')
    assert "hunter" not in str(caught.value)


def test_selection_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    specs = specs_of(tmp_path, "\n".join(f"- {{name: {name}, kind: anonymous}}" for name in "abc"))
    assert [spec.name for spec in select(specs, ["c", "a"])] == ["a", "c"]
    assert select(specs, []) == specs
    with pytest.raises(UsageError, match="no identity 'd'; there are a, b, c"):
        select(specs, ["d"])


# --- a real server ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(cluster: Cluster) -> Iterator[Prepared]:
    with prepare(cluster, load(default_path()), run_id="ident", mode="full", wait=True, say=pytest.fail) as ready:
        yield ready


def ask(access: Access, verb: str, path: str, body: object = None) -> int:
    with Client(access) as client:
        return client.ask(verb, path, body=body).status


def may(access: Access, **attributes: str) -> bool:
    """Ask as the identity itself; 403 for whoever may not even ask that."""
    key = "nonResourceAttributes" if "path" in attributes else "resourceAttributes"
    with Client(access) as client:
        answer = client.ask(
            "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body={"spec": {key: attributes}}
        )
        return answer.status == 201 and bool(expect_json(answer, "review")["status"]["allowed"])


@pytest.mark.server
def test_the_server_knows_each_identity_as_we_name_it(prepared: Prepared, cluster: Cluster) -> None:
    named = {column.identity.name: column.identity for column in prepared.columns}
    assert prepared.left_out == (() if cluster.signer else prepared.left_out)
    assert [column.identity.name for column in prepared.columns] == [
        spec.name for spec in load(default_path()) if spec.name not in dict(prepared.left_out)
    ]
    assert named["view"].user == "system:serviceaccount:kc-ident-own:view"
    assert named["node"].groups == ("system:nodes", "system:authenticated")
    assert named["auditor"].user == "kube-conformance:ident:auditor"
    assert named["anonymous"].user == "system:anonymous"
    assert (named["invalid"].user, named["invalid"].expect) == ("", "unauthenticated")
    # Nothing that another run would have otherwise.
    assert {(identity.uid, identity.extra) for identity in named.values()} == {("", ())}
    assert all(identity.groups_known for identity in named.values())


@pytest.mark.server
def test_bindings_are_in_force_at_once(prepared: Prepared) -> None:
    own, other = prepared.own, prepared.other
    questions: list[dict[str, str]] = [
        {"verb": "delete", "resource": "namespaces", "name": "x"},
        {"verb": "create", "resource": "rolebindings", "group": "rbac.authorization.k8s.io", "namespace": own},
        {"verb": "create", "resource": "secrets", "namespace": own},
        {"verb": "list", "resource": "pods", "namespace": own},
        {"verb": "list", "resource": "pods", "namespace": other},
        {"verb": "create", "resource": "deployments", "group": "apps", "namespace": own},
        {"verb": "get", "resource": "configmaps", "namespace": own, "name": "settings"},
        {"verb": "list", "resource": "nodes"},
        {"verb": "create", "resource": "nodes"},
        {"verb": "list", "resource": "roles", "group": "rbac.authorization.k8s.io", "namespace": own},
        {"verb": "get", "path": "/metrics"},
        {"verb": "get", "path": "/openid/v1/jwks"},
        {"verb": "create", "resource": "selfsubjectreviews", "group": "authentication.k8s.io"},
    ]
    allowed = {
        column.identity.name: "".join("y" if may(column.access, **question) else "-" for question in questions)
        for column in prepared.columns
    }
    expected = {
        "cluster-admin": "yyyyyyyyyyyyy",
        "admin": "-yyy-yy--y-yy",
        "edit": "--yy-yy----yy",
        "view": "---y--y----yy",
        "deployer": "---y-yy----yy",
        "cluster-reader": "---yy-yy-yyyy",
        "node": "--------y---y",
        "unbound": "-----------yy",
        "auditor": "---------y--y",
        "authenticated": "------------y",
        "anonymous": "-------------",
        "invalid": "-------------",
    }
    assert allowed == {name: expected[name] for name in allowed}
    # Each differs from all others, but that nobody and somebody refused may ask for no review.
    assert len(set(allowed.values())) == len(allowed) - 1
    anonymous, invalid = (prepared.columns[number].access for number in (-2, -1))
    assert (ask(anonymous, "GET", "/version"), ask(invalid, "GET", "/version")) == (200, 401)


@pytest.mark.server
def test_everything_is_marked_and_a_lease_says_that_the_run_lives(prepared: Prepared, cluster: Cluster) -> None:
    with Client(cluster.admin) as client:
        found = leftovers.find(client, ours=True)
        renewed = client.get_json(lease.path(prepared.own, "ident"))["spec"]
        metadata = client.get_json(f"/api/v1/namespaces/{prepared.own}/serviceaccounts/view")["metadata"]
    assert {each.run for each in found.dead} == set()
    assert [each.name for each in found.alive if each.run == "ident"][-2:] == [
        "namespaces/kc-ident-other",
        "namespaces/kc-ident-own",
    ]
    assert not lease.is_gone(renewed["holderIdentity"])
    assert metadata["labels"] == {leftovers.MANAGED_BY: "kube-conformance", leftovers.RUN: "ident"}
    assert metadata["managedFields"][0]["manager"] == "kube-conformance"


@pytest.mark.server
def test_a_beat_renews_the_lease_when_it_is_due(prepared: Prepared, cluster: Cluster) -> None:
    def renewed() -> str:
        with Client(cluster.admin) as client:
            return str(client.get_json(lease.path(prepared.own, "ident"))["spec"]["renewTime"])

    before = renewed()
    prepared.beat()
    assert renewed() == before
    assert prepared._lease is not None
    prepared._lease._due = 0
    prepared.beat()
    assert renewed() > before
    assert prepared._lease._due > time.monotonic() + lease.AGAIN


def test_a_server_that_is_gone_is_not_asked_at_each_beat() -> None:
    with Client(Access("http://127.0.0.1:1")) as client:
        held = lease.Lease(client, "kc-gone-own", "gone", dt.datetime.now(dt.UTC))
        held._due = 0
        held.beat()
        assert time.monotonic() < held._due < time.monotonic() + lease.RENEW / 2


@pytest.mark.server
def test_accesses_cross_processes_and_renew_there(prepared: Prepared) -> None:
    columns: tuple[Any, ...] = pickle.loads(pickle.dumps(prepared.columns))  # noqa: S301  # our own
    access = next(column.access for column in columns if column.identity.name == "view")
    assert 3600 < access.expires - time.time() < 7200
    fresh = access.renew()
    assert fresh.token != access.token
    assert ask(fresh, "GET", f"/api/v1/namespaces/{prepared.own}/pods") == 200
    stale = replace(access, token="stale", expires=None)
    assert ask(stale, "GET", f"/api/v1/namespaces/{prepared.own}/pods") == 200


@pytest.mark.server
def test_no_credential_is_shown(prepared: Prepared) -> None:
    shown = repr(prepared)
    for column in prepared.columns:
        for secret in (column.access.token, column.access.key, column.access.certificate):
            if secret and secret != "invalid":
                assert repr(secret)[2:-1] not in shown


OTHERS = """
- {name: foreign, kind: certificate, ca: foreign, expect: unauthenticated}
- {name: imposter, kind: certificate, ca: foreign, groups: ["system:masters"], expect: unauthenticated}
- {name: from-file, kind: token, tokenFile: token}
- name: full
  kind: impersonate
  user: jane
  groups: [devs]
  uid: "42"
  extra: {example.com/scopes: [a, b], authentication.kubernetes.io/pod-name: [kept]}
- {name: unknown-groups, kind: impersonate, user: joe}
- {name: account, kind: impersonate, user: "system:serviceaccount:kube-system:default"}
"""


@pytest.mark.server
def test_other_kinds_without_creating_anything(cluster: Cluster, prepared: Prepared, tmp_path: Path) -> None:
    token = next(column.access.token for column in prepared.columns if column.identity.name == "edit")
    (tmp_path / "token").write_text(f"{token}\n", "ascii")
    elsewhere = replace(cluster, ours=False, signer=None)
    with prepare(elsewhere, specs_of(tmp_path, OTHERS), run_id="others", mode="observe", say=pytest.fail) as ready:
        named = {column.identity.name: column.identity for column in ready.columns}
        (tmp_path / "token").write_text("", "ascii")
        renew = next(column.access.renew for column in ready.columns if column.identity.name == "from-file")
    assert (ready.own, ready.other, ready.left_out) == ("default", "kc-others-other", ())
    assert named["foreign"].expect == named["imposter"].expect == "unauthenticated"
    assert named["from-file"].user == "system:serviceaccount:kc-ident-own:edit"
    assert (named["full"].user, named["full"].uid) == ("jane", "42")
    assert named["full"].groups == ("devs", "system:authenticated")
    assert named["full"].extra == (
        ("authentication.kubernetes.io/pod-name", ("kept",)),
        ("example.com/scopes", ("a", "b")),
    )
    known = {name: identity.groups_known for name, identity in named.items()}
    assert [name for name, groups_known in known.items() if not groups_known] == ["unknown-groups"]
    assert renew is not None
    with pytest.raises(FileError, match="holds no token"):
        renew()


@pytest.mark.server
def test_an_expired_certificate_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    specs = specs_of(tmp_path, "- {name: late, kind: certificate, expired: true, expect: unauthenticated}")
    with prepare(cluster, specs, run_id="late", mode="dry-run", say=pytest.fail) as ready:
        if cluster.signer is None:
            assert ready.left_out[0][0] == "late"
        else:
            assert ask(ready.columns[0].access, "GET", "/version") == 401


@pytest.mark.server
def test_a_cluster_without_its_authority_signs_requests(cluster: Cluster, tmp_path: Path) -> None:
    signed, root = "{name: signed, kind: certificate, groups: [devs]}", "{name: root, kind: certificate, groups: [{}]}"
    specs = specs_of(tmp_path, f"- {signed}\n- {root.replace('{}', 'system:masters')}")
    with prepare(replace(cluster, signer=None), specs, run_id="csr", mode="full", wait=False, say=pytest.fail) as ready:
        (column,) = ready.columns
        assert column.identity.groups == ("devs", "system:authenticated")
    assert [name for name, _ in ready.left_out] == ["root"]
    assert ask(cluster.admin, "GET", f"{leftovers.COLLECTIONS[0]}/kc-csr-signed") == 404


# What a run may make on a cluster that is not ours, and in which mode; the rest is left out with this reason.
LEFT_OUT = {
    "certificate": ("full", "- {name: a, kind: certificate}", "can't be revoked"),
    "binding in the cluster": (
        "full",
        "- {name: a, kind: serviceaccount, bind: [{clusterRole: view, in: cluster}]}",
        "beyond",
    ),
    "binding elsewhere": (
        "full",
        "- {name: a, kind: serviceaccount, bind: [{clusterRole: view, in: default}]}",
        "beyond",
    ),
    "role of the cluster": (
        "full",
        "- {name: a, kind: serviceaccount, bind: [{clusterRole: {rules: [{nonResourceURLs: [/x], verbs: [get]}]}}]}",
        "beyond",
    ),
    "account": ("dry-run", "- {name: a, kind: serviceaccount}", "mode full only"),
    "binding": ("observe", "- {name: a, kind: impersonate, bind: [{clusterRole: view}]}", "mode full only"),
}


@pytest.mark.server
@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_a_foreign_cluster_is_spared(cluster: Cluster, tmp_path: Path, case: str) -> None:
    mode: Any
    mode, content, reason = LEFT_OUT[case]
    run = f"spared-{list(LEFT_OUT).index(case)}"
    elsewhere = replace(cluster, ours=False, signer=None)
    specs = specs_of(tmp_path, content)
    with prepare(elsewhere, specs, run_id=run, mode=mode, wait=False, say=pytest.fail) as ready:
        assert ready.columns == ()
        assert ready.left_out[0][0] == "a"
        assert reason in ready.left_out[0][1]
        if mode != "full":
            assert ask(cluster.admin, "GET", f"{leftovers.NAMESPACES}/kc-{run}-own") == 404
    assert left(cluster, run) == ()


@pytest.mark.server
def test_an_admin_with_few_rights_does_without(cluster: Cluster, prepared: Prepared, tmp_path: Path) -> None:
    few = next(column.access for column in prepared.columns if column.identity.name == "view")
    poor = replace(cluster, admin=few, ours=False, signer=None)
    specs = specs_of(tmp_path, "- {name: a, kind: impersonate, user: jane}\n- {name: b, kind: anonymous}")
    with prepare(poor, specs, run_id="poor", mode="observe", say=pytest.fail) as ready:
        assert [column.identity.name for column in ready.columns] == ["b"]
        assert "cannot impersonate" in ready.left_out[0][1]


WRONG = {
    "token": ("- {name: a, kind: token, token: abc}", "does not know it: 401"),
    "no such role": ("- {name: a, kind: serviceaccount, bind: [{clusterRole: absent}]}", "no ClusterRole absent"),
    "no such namespace": ("- {name: a, kind: serviceaccount, bind: [{clusterRole: view, in: absent}]}", "absent"),
}


@pytest.mark.server
@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_prepared_is_an_error_and_leaves_nothing(cluster: Cluster, tmp_path: Path, case: str) -> None:
    content, words = WRONG[case]
    specs, run = specs_of(tmp_path, content), f"wrong-{list(WRONG).index(case)}"
    with (
        pytest.raises((IdentityError, FileError), match=words),
        prepare(cluster, specs, run_id=run, mode="full", wait=False, say=pytest.fail),
    ):
        pytest.fail("was prepared")
    assert left(cluster, run) == ()


@pytest.mark.server
def test_a_run_id_that_is_in_use_is_refused_and_its_owner_keeps_everything(
    cluster: Cluster, prepared: Prepared
) -> None:
    before = left(cluster, "ident")
    with (
        pytest.raises(UsageError, match="is in use"),
        prepare(cluster, (), run_id="ident", mode="full", wait=False, say=pytest.fail),
    ):
        pytest.fail("was prepared")
    assert left(cluster, "ident") == before
    assert prepared.own in before[-1].name


@pytest.mark.parametrize("run_id", ["", "A", "a_b", "-a", "a" * 31, "../x"])
def test_a_run_id_has_to_fit_into_names(run_id: str) -> None:
    nowhere = Cluster("test", "test", Access("https://127.0.0.1:1"), ours=True)
    with pytest.raises(UsageError, match="no run id"), prepare(nowhere, (), run_id=run_id, mode="full"):
        pytest.fail("was prepared")


@pytest.mark.server
def test_nothing_is_left_when_the_block_fails(cluster: Cluster) -> None:
    specs = select(load(default_path()), ["cluster-reader", "auditor"])
    with (
        pytest.raises(AssertionError, match="in the block"),
        prepare(cluster, specs, run_id="failed", mode="full", say=pytest.fail) as ready,
    ):
        assert not [*ready.columns, *left(cluster, "failed")][5:], "in the block"
    assert left(cluster, "failed") == ()
    assert ask(cluster.admin, "GET", f"{leftovers.NAMESPACES}/{ready.own}") == 404


@pytest.mark.server
def test_signals_do_not_break_the_clean_up(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = select(load(default_path()), ["cluster-reader"])
    delete = leftovers.delete

    def interrupted(*arguments: Any) -> tuple[str, ...]:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        return delete(*arguments)

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    monkeypatch.setattr(leftovers, "delete", interrupted)
    try:
        with (
            pytest.raises(KeyboardInterrupt),
            prepare(cluster, specs, run_id="twice", mode="full", say=lambda _: None),
        ):
            pass
    finally:
        signal.signal(signal.SIGTERM, before)
    assert left(cluster, "twice") == ()


def left(cluster: Cluster, run: str) -> tuple[leftovers.Leftover, ...]:
    """Give what a run made that is there and is not on its way out."""
    with Client(cluster.admin) as client:
        return tuple(each for each in leftovers.of_run(client, run) if not each.going)


# --- runs that were killed --------------------------------------------------------------------------------------------


def test_a_holder_is_gone_when_its_process_is() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "from conformance.identities import lease; print(lease.holder())"],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    ).stdout.strip()
    mine = lease.holder()
    assert lease.is_gone(said)
    assert not lease.is_gone(mine)
    # Of another machine, or of an earlier boot that may be another machine of this name, nobody can tell.
    host, rest = said.split(" ", 1)
    assert not lease.is_gone(f"{host}x {rest}")
    assert not lease.is_gone(said.replace(mine.split(" ")[3].split("/")[0], "another-boot"))
    assert not lease.is_gone("")
    assert not lease.is_gone("a run of an older version")
