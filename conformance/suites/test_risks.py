"""Every risk rule over the cluster's own roles and bindings: what is dangerous and nobody accepted fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.model import Finding
    from conformance.risks.rule import Risk

SHOWN = 10


def test_risks(risk: Risk, findings: tuple[Finding, ...], accepted: Callable[[str], str]) -> None:
    """The findings were made before this body runs, from what was frozen; --fail-on says from which severity on."""
    whys = [accepted(f"finding:{finding.id}[{finding.identity}]") for finding in findings]
    if findings and all(whys):
        pytest.xfail("; ".join(dict.fromkeys(whys)))
    findings = tuple(finding for finding, why in zip(findings, whys, strict=True) if not why)
    if findings:
        said = [f"{finding.severity} {finding.id}: {finding.witness.text}" for finding in findings[:SHOWN]]
        if len(findings) > SHOWN:
            said.append(f"and {len(findings) - SHOWN} more")
        pytest.fail(f"{risk.title}\n" + "\n".join(said), pytrace=False)
