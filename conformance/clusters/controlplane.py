"""The control plane itself: its files, the flags of its programs, the order in which they start, and when it is ready.

It listens on the loopback device only and has its own certificate authorities. etcd listens on a Unix socket in the
cluster's directory, which no other user of the machine may enter, so that nobody gets past RBAC.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

from conformance.clusters import pki
from conformance.errors import ClusterError
from conformance.model import Access, Cluster
from conformance.transport import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from conformance.clusters import Say
    from conformance.clusters.assets import Assets
    from conformance.clusters.processes import Programs

    Load = Callable[[Cluster], None]

ISSUER = "https://kubernetes.default.svc"  # of service account tokens
READY_SECONDS = 120
_POLL = 0.02
_ETCD = "unix:etcd.sock:0"  # relative to the directory, because the path of a socket is limited to 107 bytes
_OK = 200

# What the audit and its identities need; workloads have no node to run on, so their controllers would only cost time.
CONTROLLERS = (
    "certificatesigningrequest-approving-controller",  # approves the certificates that nodes ask for themselves
    "certificatesigningrequest-cleaner-controller",  # removes requests that were answered or forgotten
    "certificatesigningrequest-signing-controller",  # signs client certificates of identities made by the CSR API
    "clusterrole-aggregation-controller",  # fills admin, edit and view, which are empty without it
    "garbage-collector-controller",  # owner references, foreground deletion, orphans
    "namespace-controller",  # empties a namespace that is deleted, else it stays forever
    "resourcequota-controller",  # counts what a quota limits
    "root-ca-certificate-publisher-controller",  # the config map kube-root-ca.crt that every real namespace has
    "serviceaccount-controller",  # the account `default` that every namespace has
    "serviceaccount-token-controller",  # Secrets of type kubernetes.io/service-account-token
)

# Everything at the level that names who asked what, once per request.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


def start(
    home: Programs,
    assets: Assets,
    name: str,
    *,
    audit_log: bool = False,
    flags: Sequence[str] = (),
    load: Load | None = None,
    say: Say,
) -> Cluster:
    """Start the programs in their directory and wait until the cluster is as every user finds one.

    `flags` go to kube-apiserver after ours, so that they win. `load` fills a server that is then started once more, as
    one that finds what an older one left.
    """
    begun = time.monotonic()
    say(f"starting Kubernetes {assets.version}, a control plane without nodes (some seconds)")
    startup = _Startup(home, begun + READY_SECONDS)
    with _free_port() as port:
        server = f"https://127.0.0.1:{port}"
        _write_files(home.directory, server, name)
        cluster = cluster_in(home.directory, name, server)
        home.start("etcd", [assets.program("etcd"), *_etcd_flags()])
        startup.wait("etcd", (home.directory / "etcd.sock:0").exists)
        ours = _server_flags(port, audit_log=audit_log)
        if any(flag.startswith("--authorization-config=") for flag in flags):
            ours = tuple(
                flag for flag in ours if not flag.startswith("--authorization-mode=")
            )  # one excludes the other
        serve: list[str | Path] = [assets.program("kube-apiserver"), *ours, *flags]
        if load is not None:
            _load(home, serve, cluster, load)
        home.start("kube-apiserver", serve)
        with Client(cluster.admin) as client:
            startup.wait("kube-apiserver", lambda: client.ask("GET", "/livez").status == _OK)
            if assets.controllers:
                manager = "kube-controller-manager"
                home.start(manager, [assets.program(manager), *_manager_flags()])
            startup.wait("kube-apiserver", lambda: client.ask("GET", "/readyz").status == _OK)
            if assets.controllers:
                startup.wait("kube-controller-manager", lambda: settled(client))
            else:
                say("without kube-controller-manager the roles admin, edit and view grant nothing")
    say(f"ready after {time.monotonic() - begun:.1f} s at {server}")
    return cluster_in(home.directory, name, server)  # again: now its audit log is there


def _load(home: Programs, serve: Sequence[str | Path], cluster: Cluster, load: Load) -> None:
    """Fill a server and end it. It has another name, so that its end is not taken for that of the one to come."""
    first, startup = "kube-apiserver-before", _Startup(home, time.monotonic() + READY_SECONDS)
    home.start(first, serve)
    with Client(cluster.admin) as client:
        startup.wait(first, lambda: client.ask("GET", "/readyz").status == _OK)
    load(cluster)
    home.stop(first)
    if home.ended(first, READY_SECONDS) is None:
        raise ClusterError(f"{first} did not end")


class _Startup:
    """The waiting of one start: until something holds, a program ends, or the time is over."""

    def __init__(self, home: Programs, deadline: float) -> None:
        self.home, self.deadline = home, deadline
        self._started: list[str] = []

    def wait(self, name: str, until: Callable[[], bool]) -> None:
        """Wait until it holds; `name` is the program that it takes."""
        if name not in self._started:
            self._started.append(name)
        while not until():
            for program in self._started:
                code = self.home.ended(program)
                if code is not None:
                    raise ClusterError(f"{program} ended with code {code}; its last words:\n{self._words(program)}")
            if time.monotonic() > self.deadline:
                raise ClusterError(
                    f"{name} was not ready after {READY_SECONDS} s; its last words:\n{self._words(name)}"
                )
            time.sleep(_POLL)

    def _words(self, program: str) -> str:
        return self.home.last_lines(program) or "(none)"


@contextmanager
def _free_port() -> Iterator[int]:
    """Hold a port that nobody else can take; kube-apiserver joins it with --permit-port-sharing.

    Linux shares a port only among sockets that all ask for it and belong to one user, and never hands a shared one out
    as free. Requests reach the socket that listens, which ours does not.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def _write_files(home: Path, server: str, name: str) -> None:
    ca, front_proxy = pki.authority("kube-conformance"), pki.authority("kube-conformance-front-proxy")
    manager = "system:kube-controller-manager"
    pairs = {
        "ca": ca,
        "front-proxy-ca": front_proxy,
        "server": pki.sign_server(
            ca, "kube-apiserver", ("127.0.0.1", "localhost", "10.0.0.1", "kubernetes.default.svc")
        ),
        "admin": pki.sign_client(ca, "kube-conformance-admin", ("system:masters",)),
        "manager": pki.sign_client(ca, manager),
        "front-proxy": pki.sign_client(front_proxy, "front-proxy-client"),
    }
    for file, (certificate, key) in pairs.items():
        write(home / f"{file}.crt", certificate.decode())
        write(home / f"{file}.key", key.decode())
    write(home / "service-account.key", pki.signing_key().decode())
    write(home / "audit-policy.yaml", json.dumps(_AUDIT_POLICY))
    write(home / "manager.conf", _kubeconfig(server, ca[0], _files("manager"), name))
    write(home / "kubeconfig", kubeconfig(cluster_in(home, name, server)))


def _etcd_flags() -> tuple[str, ...]:
    client, peer = "unix://etcd.sock:0", "unix://peer.sock:0"
    return (
        "--data-dir=etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",  # its data does not outlive it
    )


def _server_flags(port: int, *, audit_log: bool) -> tuple[str, ...]:
    audit = (
        "--audit-policy-file=audit-policy.yaml",
        "--audit-log-path=audit.log",
        "--audit-log-maxsize=100000",  # megabytes: it is read as one file
    )
    return (
        f"--etcd-servers={_ETCD}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--permit-port-sharing",
        # An address set aside for documentation: a machine without a network has none, and loopback is not taken.
        "--advertise-address=192.0.2.1",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--tls-cert-file=server.crt",
        "--tls-private-key-file=server.key",
        "--client-ca-file=ca.crt",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction,ServiceAccount",
        f"--service-account-issuer={ISSUER}",
        "--service-account-key-file=service-account.key",
        "--service-account-signing-key-file=service-account.key",
        "--requestheader-client-ca-file=front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--proxy-client-cert-file=front-proxy.crt",
        "--proxy-client-key-file=front-proxy.key",
        *(audit if audit_log else ()),
    )


def _manager_flags() -> tuple[str, ...]:
    return (
        "--kubeconfig=manager.conf",
        "--authentication-kubeconfig=manager.conf",
        "--authorization-kubeconfig=manager.conf",
        f"--controllers={','.join(CONTROLLERS)}",
        "--use-service-account-credentials=true",
        "--service-account-private-key-file=service-account.key",
        "--root-ca-file=ca.crt",
        "--cluster-signing-cert-file=ca.crt",
        "--cluster-signing-key-file=ca.key",
        "--leader-elect=false",
        "--secure-port=0",
    )


def settled(client: Client) -> bool:
    """Say whether the controllers have done what every cluster has done before its first user comes."""
    spaces = client.ask("GET", "/api/v1/namespaces")
    roles = client.ask("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles")
    if not spaces.status == roles.status == _OK:
        return False
    there = [f"/api/v1/namespaces/{each['metadata']['name']}" for each in json.loads(spaces.body)["items"]]
    wanted = [
        f"{space}/{part}" for space in there for part in ("serviceaccounts/default", "configmaps/kube-root-ca.crt")
    ]
    found = all(client.ask("GET", path).status == _OK for path in wanted)
    return bool(there) and found and _aggregated(json.loads(roles.body)["items"])


def _aggregated(roles: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether each aggregated role has all the rules of the roles that its selectors name."""
    for role in roles:
        selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
        for selector in selectors:
            wanted = selector.get("matchLabels", {}).items()
            for part in roles:
                labels = part["metadata"].get("labels", {}).items()
                rules = role.get("rules") or ()
                if wanted <= labels and not all(rule in rules for rule in part.get("rules") or ()):
                    return False
    return True


def kubeconfig(cluster: Cluster) -> str:
    """Write the admin's access as a kubeconfig, for programs that want one."""
    admin = cluster.admin
    if admin.ca is None or admin.certificate is None or admin.key is None:
        raise ClusterError(f"the admin of {cluster.name} has no client certificate")
    user = {"client-certificate-data": _base64(admin.certificate), "client-key-data": _base64(admin.key)}
    return _kubeconfig(admin.server, admin.ca, user, cluster.name)


def cluster_in(home: Path, name: str, server: str) -> Cluster:
    """Read the cluster that runs in this directory."""

    def read(file: str) -> bytes:
        return (home / file).read_bytes()

    audit_log = home / "audit.log"
    return Cluster(
        provider="embedded",
        name=name,
        admin=Access(server, ca=read("ca.crt"), certificate=read("admin.crt"), key=read("admin.key")),
        ours=True,
        signer=(read("ca.crt"), read("ca.key")),
        audit_log=str(audit_log) if audit_log.exists() else None,
        home=str(home),
    )


def write(path: Path, text: str) -> None:
    """Write a file that only its owner may read, all of it or nothing."""
    unfinished = path.with_name(f".{path.name}.new")
    with open(unfinished, "w", encoding="utf-8", opener=lambda file, flags: os.open(file, flags, 0o600)) as file:
        file.write(text)
    unfinished.rename(path)


def _kubeconfig(server: str, ca: bytes, user: Mapping[str, str], name: str) -> str:
    context = f"kube-conformance-{name}"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": context, "cluster": {"server": server, "certificate-authority-data": _base64(ca)}}],
            "users": [{"name": context, "user": dict(user)}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
            "current-context": context,
        },
        sort_keys=False,
    )


def _files(pair: str) -> dict[str, str]:
    return {"client-certificate": f"{pair}.crt", "client-key": f"{pair}.key"}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
