"""The `request` oracle: what the answer to the probe says about authorization.

Authorization comes before the body is parsed, before existence and before the method: any answer of the API server but
401, 403, 429 and 5xx means that it let the identity through. A 403 needs a second look, since handlers and admission
refuse with the same status after authorization has allowed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.model import Answer, Decision, Witness

if TYPE_CHECKING:
    from conformance.model import Attributes, Outcome

_UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _SERVER_ERRORS, _BAD_REQUEST = 401, 403, 429, 500, 400
# Causes that make a 504 or a 429 an answer of the handler, given after authorization.
_HANDLER_CAUSES = frozenset({"ResourceVersionTooLarge", "DisruptionBudget"})
# What services/proxy answers for an absent service, with 503.
_NO_ENDPOINTS = "no endpoints available for service "
_SHOWN = 300

# The words of k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go
_DENIAL = re.compile(
    r'User "(?P<user>(?:[^"\\]|\\.)*)" cannot (?P<verb>\S+) '
    r'(?:resource "(?P<plural>[^"]*)" in API group "(?P<group>[^"]*)"|path "(?P<path>[^"]*)")',
)
_ESCAPED = re.compile(r"\\(.)")
# A refusal after authorization is worded `RESOURCE "NAME" is forbidden: WHY`, or comes from an admission plugin.
_AFTERWARDS = re.compile(r'is forbidden: (?!User ")|^admission webhook "|ValidatingAdmissionPolicy|denied request:')
# Checks that handlers make once the request itself is authorised: what they ask for is a right of the identity's too.
_SECOND_CHECKS = (
    re.compile(r"attempting to grant RBAC permissions not currently held"),
    re.compile(r"must have cluster-admin privileges"),
    re.compile(r"user not permitted to \w+ (?:requests with|for) signerName"),
)
# exec, attach and portforward by GET need create as well; the refusal says nothing, or which role RBAC did not find.
_CONNECT = frozenset({"exec", "attach", "portforward"})
_CONNECT_CHECK = re.compile(r"is forbidden: (?:(?:rbac: )?RBAC: .*)?$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer means: the decision, whether a handler's second check refused it, and a note where one is due."""

    decision: Decision
    note: str = ""
    second_check: bool = False


def read(outcome: Outcome, attributes: Attributes, user: str, reviewed: Answer | None) -> Reading:
    """Read an answer to the request of `user` for `attributes`; `reviewed` is what the review said, if asked."""
    if outcome.error:
        return _reading(Answer.UNKNOWN, f"no answer: {outcome.error}", "no answer")
    line = f"{outcome.status} {outcome.reason}".rstrip()
    text = f"{line}: {outcome.message[:_SHOWN]}" if outcome.message else line
    if not outcome.audited:
        return _reading(Answer.UNKNOWN, text, "intermediary")
    if outcome.status == _UNAUTHORIZED:
        return _reading(Answer.DENIED, text)
    if outcome.status == _FORBIDDEN:
        return _forbidden(outcome, attributes, user, reviewed, text)
    if outcome.status == _BAD_REQUEST and "impersonat" in outcome.message.lower():
        return _reading(Answer.UNKNOWN, text, "the server refused the impersonation headers")
    if outcome.status == _TOO_MANY or outcome.status >= _SERVER_ERRORS:
        if _HANDLER_CAUSES.intersection(outcome.causes) or (
            attributes.subresource == "proxy" and outcome.message.startswith(_NO_ENDPOINTS)
        ):
            return _reading(Answer.ALLOWED, text)
        return _reading(Answer.UNKNOWN, text, f"the server answered {outcome.status}")
    return _reading(Answer.ALLOWED, text)


def _forbidden(outcome: Outcome, attributes: Attributes, user: str, reviewed: Answer | None, text: str) -> Reading:
    named = _DENIAL.search(outcome.message)
    if named is not None and named["verb"].startswith("impersonate"):
        return _reading(Answer.UNKNOWN, text, "the server refused the impersonation")
    if named is not None and _is_this(named, attributes, user):
        return _reading(Answer.DENIED, text)
    if _is_second_check(outcome.message, attributes) or _other_verb(named, attributes, user):
        return Reading(Decision(Answer.DENIED, Witness("status", text)), second_check=True)
    if reviewed is Answer.DENIED:
        return _reading(Answer.DENIED, text)
    if named is None and outcome.reason == "Forbidden" and _AFTERWARDS.search(outcome.message):
        return _reading(Answer.ALLOWED, text, f"refused after authorization: {outcome.message[:_SHOWN]}")
    return _reading(Answer.DENIED, text)


def _is_this(named: re.Match[str], attributes: Attributes, user: str) -> bool:
    if _unquoted(named["user"]) != user or named["verb"] != attributes.verb:
        return False
    if named["path"] is not None:
        return named["path"] == attributes.path
    return named["plural"] == _plural(attributes) and named["group"] == attributes.group


def _is_second_check(message: str, attributes: Attributes) -> bool:
    if attributes.verb == "get" and attributes.subresource in _CONNECT and _CONNECT_CHECK.search(message):
        return True
    return any(check.search(message) for check in _SECOND_CHECKS)


def _other_verb(named: re.Match[str] | None, attributes: Attributes, user: str) -> bool:
    """Say whether the server asked for create as well: an update or patch of an absent object creates it."""
    return (
        named is not None
        and _unquoted(named["user"]) == user
        and attributes.verb in {"update", "patch"}
        and named["verb"] == "create"
        and named["plural"] == _plural(attributes)
        and named["group"] == attributes.group
    )


def _plural(attributes: Attributes) -> str:
    return f"{attributes.resource}/{attributes.subresource}" if attributes.subresource else attributes.resource


def _unquoted(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _reading(answer: Answer, text: str, note: str = "") -> Reading:
    return Reading(Decision(answer, Witness("status", text)), note)
