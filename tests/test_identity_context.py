"""A context of a kubeconfig is a column like any other: as it is, confirmed by the server, of this cluster only."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import kubeconfigs
import pytest
from kubeconfigs import DEFAULT, SERVER, admin_of, server_of, token_of, whoami, write

from conformance.errors import ClusterError, FileError
from conformance.identities import Spec, load
from conformance.identities.stage import Prepared, prepare

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.model import Cluster


@pytest.fixture(autouse=True)
def _no_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)


def specs_of(folder: Path, *entries: str) -> tuple[Spec, ...]:
    file = folder / "identities.yaml"
    file.write_text("identities:\n" + "".join(f"- {entry}\n" for entry in entries), "utf-8")
    return load(file)


def prepared(cluster: Cluster, specs: tuple[Spec, ...]) -> Prepared:
    with prepare(cluster, specs, run_id="context", mode="observe", say=pytest.fail) as ready:
        return ready


@pytest.mark.server
def test_each_context_is_who_its_user_is(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("stale")
    write(tmp_path, server_of(cluster), admin_of(cluster), "admin")
    write(tmp_path, server_of(cluster), {"tokenFile": "token"}, "file")
    write(tmp_path, server_of(cluster), admin_of(cluster) | {"as": "jane", "as-groups": ["devs"]}, "somebody")
    write(tmp_path, server_of(cluster), {"token": "revoked"}, "lapsed")
    specs = specs_of(
        tmp_path,
        "{name: admin, kind: context, kubeconfig: admin, context: current}",
        "{name: file, kind: context, kubeconfig: ./file, context: it}",
        f"{{name: somebody, kind: context, kubeconfig: {tmp_path}/somebody, context: it}}",
        "{name: lapsed, kind: context, kubeconfig: lapsed, context: it, expect: unauthenticated}",
    )
    (tmp_path / "token").write_text(token_of(cluster))
    ready = prepared(cluster, specs)
    named = {column.identity.name: column for column in ready.columns}
    assert (named["admin"].identity.user, list(named["admin"].identity.groups)) == whoami(cluster.admin)
    assert named["file"].identity.user == DEFAULT
    assert named["somebody"].identity.user == "jane"
    assert named["somebody"].identity.groups == ("devs", "system:authenticated")
    assert named["lapsed"].identity.expect == "unauthenticated"
    assert ready.left_out == ()
    # A worker process gets the access with all that it takes to renew it.
    handed = pickle.loads(pickle.dumps(named["file"].access))  # noqa: S301  # our own
    (tmp_path / "token").write_text(token_of(cluster, "namespace-controller"))
    assert whoami(handed.renew())[0] == "system:serviceaccount:kube-system:namespace-controller"


@pytest.mark.server
def test_without_a_kubeconfig_it_is_the_one_of_the_run(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ambient = write(tmp_path, server_of(cluster), {"token": token_of(cluster, "namespace-controller")}, "ambient")
    runs = write(tmp_path, server_of(cluster), {"token": token_of(cluster)}, "runs")
    monkeypatch.setenv("KUBECONFIG", str(ambient))
    specs = specs_of(tmp_path, "{name: a, kind: context, context: it}")
    assert prepared(replace(cluster, kubeconfig=str(runs)), specs).columns[0].identity.user == DEFAULT
    assert prepared(cluster, specs).columns[0].identity.user.endswith("namespace-controller")


@pytest.mark.server
def test_without_any_key_it_is_whoever_runs_the_audit(cluster: Cluster, tmp_path: Path) -> None:
    (column,) = prepared(cluster, specs_of(tmp_path, "{name: me, kind: context}")).columns
    assert (column.identity.user, list(column.identity.groups)) == whoami(cluster.admin)
    assert column.access == cluster.admin


@pytest.mark.server
def test_another_way_to_the_same_cluster_is_taken_and_another_cluster_is_not(cluster: Cluster, tmp_path: Path) -> None:
    specs = specs_of(tmp_path, "{name: a, kind: context, kubeconfig: config, context: it}")
    with kubeconfigs.below("/one", cluster, tmp_path) as address:
        write(tmp_path, server_of(cluster) | {"server": address}, {"token": token_of(cluster)})
        column = prepared(cluster, specs).columns[0]
        assert (column.identity.user, column.access.server) == (DEFAULT, address)
        write(tmp_path, {"server": address, "insecure-skip-tls-verify": True}, {"token": "t"})
        with pytest.raises(FileError, match=r"identities.yaml:2: identity a: the context it leads to .*/one, the"):
            prepared(cluster, specs)


@pytest.mark.server
def test_a_plugin_that_fails_is_one_error(cluster: Cluster, tmp_path: Path) -> None:
    plugin = {"apiVersion": kubeconfigs.V1, "command": "/bin/false", "interactiveMode": "Never"}
    write(tmp_path, server_of(cluster), {"exec": plugin})
    specs = specs_of(tmp_path, "{name: a, kind: context, kubeconfig: config, context: it}")
    with pytest.raises(ClusterError, match="the credential plugin /bin/false of user u ended with code 1"):
        prepared(cluster, specs)


MISTAKES = {
    "no context": ("{name: a, kind: context, kubeconfig: config}", "which of its contexts"),
    "bound": ("{name: a, kind: context, context: it, bind: [{clusterRole: view}]}", "only the server knows"),
    "another key": ("{name: a, kind: context, context: it, token: x}", "valid keys: .*kubeconfig, context"),
}


@pytest.mark.parametrize(("entry", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_found_when_the_file_is_read(tmp_path: Path, entry: str, words: str) -> None:
    with pytest.raises(FileError, match=words) as caught:
        specs_of(tmp_path, entry)
    assert caught.value.line == 2


UNMET = {
    "no such context": (
        "{name: a, kind: context, kubeconfig: config, context: mine}",
        "there is no context 'mine' in .*; contexts: it",
    ),
    "no such file": ("{name: a, kind: context, kubeconfig: absent, context: it}", "there is no kubeconfig .*/absent"),
}


@pytest.mark.server
@pytest.mark.parametrize(("entry", "words"), UNMET.values(), ids=UNMET)
def test_what_is_not_there_is_told_with_its_line(cluster: Cluster, tmp_path: Path, entry: str, words: str) -> None:
    write(tmp_path, SERVER, {})
    with pytest.raises(FileError, match=f"identities.yaml:2: identity a: {words}"):
        prepared(cluster, specs_of(tmp_path, entry))
