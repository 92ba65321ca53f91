"""Served APIs of two moments: what went, came and is deprecated, and how grave it is by what is in use."""

from __future__ import annotations

from dataclasses import replace

import catalogs
import pytest
from moments_made import changes, found, moment, uses

from conformance.model import Unavailable

THINGS, OLD = catalogs.resource("things"), catalogs.resource("things", version="v1beta1")
BOTH = (THINGS, OLD)


@pytest.mark.parametrize(
    ("evidence", "severity"),
    [
        ({}, "high"),  # nothing is known: it may well be in use
        ({"objects": {"/things": uses(0)}}, "medium"),
        ({"objects": {"/things": uses(3)}}, "medium"),  # written in the version that stays
        ({"objects": {"/things": uses(3, version="v1beta1")}}, "critical"),
        ({"objects": {"/things": uses(0)}, "calls": [{"version": "v1beta1", "resource": "things"}]}, "critical"),
        ({"objects": {}, "calls": []}, "high"),  # its objects could not be read
    ],
)
def test_a_version_that_goes(evidence: dict[str, object], severity: str) -> None:
    gone = found(moment(*BOTH, evidence=evidence), moment(THINGS))["api-gone:v1beta1/things"]
    assert (gone.kind, gone.severity) == ("api", severity)


def test_the_last_version_that_goes_takes_its_objects_with_it() -> None:
    before = moment(THINGS, catalogs.resource("pods"), evidence={"objects": {"/things": uses(2)}})
    gone = found(before, moment(catalogs.resource("pods")))["api-gone:v1/things"]
    assert gone.severity == "critical"
    assert "2 objects of things are stored, and no version of it is left" in gone.affected


def test_a_client_is_named_where_a_log_names_it() -> None:
    call = {"user": "ci", "userAgent": "helm/3", "verb": "list", "group": "", "version": "v1beta1", "count": 7}
    call |= {"resource": "things", "subresource": ""}
    before = moment(*BOTH, evidence={"objects": {"/things": uses(0)}, "audit": [call]})
    gone = found(before, moment(THINGS))["api-gone:v1beta1/things"]
    assert gone.affected == ("ci (helm/3) called list 7 times",)


def test_parts_go_with_the_whole_and_are_told_once() -> None:
    status = catalogs.resource("things/status", "get", "patch")
    before, after = moment(THINGS, status, catalogs.resource("pods")), moment(catalogs.resource("pods"))
    assert set(found(before, after)) == {"api-gone:v1/things"}
    assert "subresource-gone:v1/things/status" in found(moment(THINGS, status), moment(THINGS))
    assert found(moment(THINGS), moment(THINGS, status))["subresource-new:v1/things/status"].severity == "info"


def test_verbs_and_scope() -> None:
    fewer = replace(THINGS, verbs=("get", "list"))
    lost = found(moment(THINGS), moment(fewer))
    assert "verb-lost:v1/things:create+delete+deletecollection+patch+update+watch" in lost
    assert changes(moment(fewer), moment(THINGS)) == {"verb-gained"}
    assert found(moment(THINGS), moment(replace(THINGS, namespaced=False)))["scope-changed:v1/things"].severity == (
        "critical"
    )


def test_what_does_not_answer_is_not_called_gone() -> None:
    after = moment(catalogs.resource("pods"))
    catalog = replace(after.snapshot.catalog, unavailable=(Unavailable("metrics/v1", "503"),))
    down = replace(after, snapshot=replace(after.snapshot, catalog=catalog))
    metrics = catalogs.resource("nodes", group="metrics")
    assert changes(moment(catalogs.resource("pods"), metrics), down) == {"api-unavailable"}


def test_deprecation_is_the_servers_own_word() -> None:
    said = {"v1beta1/things": {"warning": "v1beta1 Thing is deprecated in v1.36+, unavailable in v1.38+"}}
    said["v1beta1/things"]["removedRelease"] = "1.38"
    objects = {"/things": uses(1, version="v1beta1")}
    before = moment(*BOTH, evidence={"deprecations": {}, "objects": objects})
    after = moment(*BOTH, evidence={"deprecations": said, "objects": objects})
    told = found(before, after)
    assert told["api-deprecated:v1beta1/things"].severity == "medium"
    assert "it is gone in 1.38" in told["deprecated-in-use:v1beta1/things"].title
    assert told["deprecated-in-use:v1beta1/things"].severity == "medium"  # the next minor
