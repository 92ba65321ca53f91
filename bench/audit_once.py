"""One whole audit of a cluster that runs already, as a process of its own, so that its parent can measure it.

    python -m bench.audit_once CLUSTER REPORTS [--pairs]

With `--pairs` the plan holds each discovered pair of resource and verb once, and nothing else.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance import audit, config, plan, run
from conformance.clusters import embedded

if TYPE_CHECKING:
    from conformance.model import Cluster
    from conformance.plan import Plan


def main(arguments: list[str]) -> int:
    """Audit as `kube-conformance audit` does, but for the cluster, which neither starts nor ends with it."""
    name, reports = arguments[:2]
    take(embedded.up(name, say=lambda _: None))
    if "--pairs" in arguments:
        whole = plan.make

        def pairs(*given: Any, **named: Any) -> Plan:
            return only_pairs(whole(*given, **named))

        plan.make = pairs
    return audit.main(config.load({"reports": Path(reports), "checks": "--checks" in arguments}), ())


def take(cluster: Cluster) -> None:
    """Let audits of this process have this cluster as if they had started it."""
    run._open = lambda *_: (cluster, True)  # noqa: SLF001  # the one stage that is not measured


def only_pairs(laid: Plan) -> Plan:
    """Leave each pair of resource and verb, where it is asked first."""
    rows = tuple(
        row
        for row in laid.rows
        if row.endpoint.scope in {"own", "cluster"} and not row.endpoint.path and not row.endpoint.virtual
    )
    return replace(laid, rows=rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
