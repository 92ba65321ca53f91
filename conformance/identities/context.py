"""Whoever a context of a kubeconfig is, asking as kubectl would: certificate, token, token file or plugin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from conformance.clusters import kubeconfig
from conformance.errors import FileError, UsageError
from conformance.yamlfile import Key, line

if TYPE_CHECKING:
    from conformance.clusters.kubeconfig import Kubeconfig
    from conformance.identities import Spec, Who
    from conformance.identities.ground import Ground
    from conformance.model import Access

NAME = "context"
KEYS = {"kubeconfig": Key(line), "context": Key(line)}


def problem(spec: Spec) -> str:
    """Check that nothing is bound to a user whom only the server knows, and that a file alone names nobody."""
    if "kubeconfig" in spec.settings and "context" not in spec.settings:
        return "kubeconfig: which of its contexts? The key context says so"
    if spec.bind:
        return "bind: whose context it is only the server knows; bind a serviceaccount, certificate or impersonate"
    return ""


def hindrance(spec: Spec, ground: Ground) -> str:
    """Nothing is created for it."""
    del spec, ground
    return ""


def who(spec: Spec, ground: Ground) -> Who | None:
    """Only the server knows."""
    del spec, ground
    return None


def access(spec: Spec, ground: Ground) -> Access:
    """Go in as the context says, on its own way to the server: a proxy may be what makes the difference.

    Without the keys it is whoever runs the audit.
    """
    if not spec.settings:
        return ground.cluster.admin
    config, name = chosen(spec, ground)
    try:
        return config.access(name)
    except FileError:
        raise  # says already where it stands
    except UsageError as failure:
        raise spec.wrong(str(failure)) from None


def chosen(spec: Spec, ground: Ground) -> tuple[Kubeconfig, str]:
    """Give the kubeconfig and the name of the context that an entry names; it has to lead to the cluster of the run.

    Without the key kubeconfig it is the run's own kubeconfig, else the usual one.
    """
    named = spec.settings.get("kubeconfig")
    try:
        config = kubeconfig.read(_beside(spec.file, named) if named else ground.cluster.kubeconfig)
        name = config.context(spec.settings["context"])
        there, here = config.server(name, say=lambda _: None), ground.cluster.admin
    except FileError:
        raise
    except UsageError as failure:
        raise spec.wrong(str(failure)) from None
    if there.server != here.server and (there.ca is None or there.ca != here.ca):
        # Answers of another cluster in this one's matrix would be worse than none.
        raise spec.wrong(
            f"the context {name} leads to {there.server}, the audit to {here.server}, and nothing says that both are"
            " one cluster; it is taken to be one with the same address or the same certificate authority"
        )
    return config, name


def _beside(file: Path, named: str) -> Path:
    return file.absolute().parent / Path(named).expanduser()
