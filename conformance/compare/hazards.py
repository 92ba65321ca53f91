"""What stands around the API and breaks in an upgrade: CRDs, webhooks, policies, aggregated servers, version skew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from conformance.compare import differs, pairs
from conformance.usage import release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.model import Difference, Json
    from conformance.moments import Moment

KIND = "cluster"
_LONG = 160
# Minors that a component may be older than the API server: https://kubernetes.io/releases/version-skew-policy/
_OLDER = {"kubelet": 3, "kube-proxy": 3, "kube-controller-manager": 1, "kube-scheduler": 1, "kube-apiserver": 1}


def differences(before: Moment, after: Moment) -> Iterator[Difference]:
    """Compare the evidence of two moments, and say what already stands in the way of an upgrade."""
    if not before.evidence and not after.evidence:
        return
    yield from _crds(before, after)
    yield from _webhooks(before, after)
    yield from _policies(before, after)
    yield from _services(before, after)
    yield from _skew(before, after)
    for moment, word in ((before, "before"), (after, "after")):
        for sentence in moment.evidence.get("unseen") or ():
            title = f"not seen {word}, so not compared: {sentence}"
            yield differs("unseen", f"{word}|{sentence.partition(':')[0]}", KIND, "low", title)


# --- CRDs -------------------------------------------------------------------------------------------------------------


def _crds(before: Moment, after: Moment) -> Iterator[Difference]:
    old, new = _named(before, "crds"), _named(after, "crds")
    if old is None or new is None:
        return
    objects = before.evidence.get("objects") or {}
    for name, how in pairs(old.items(), new.items()):
        crd = old.get(name) or new[name]
        count = (objects.get(f"{crd['group']}/{crd['plural']}") or {}).get("count", 0)
        stored = [f"{count} objects"] if count else []
        if how != "changed":
            severity = "critical" if how == "gone" and count else "medium" if how == "gone" else "info"
            yield differs(f"crd-{how}", name, KIND, severity, f"the CRD {name} is {how}", affected=stored)
            continue
        was, now = ({each["name"]: each for each in it["versions"]} for it in (old[name], new[name]))
        for version, what in pairs(was.items(), now.items()):
            served = was.get(version, {}).get("served"), now.get(version, {}).get("served")
            if served[0] and not served[1]:
                yield differs(
                    "crd-version-unserved",
                    f"{name}/{version}",
                    KIND,
                    "high" if count else "medium",
                    f"{name} is not served as {version} any more" + ("" if what == "changed" else ": it is gone"),
                    before="served",
                    after="not served",
                    affected=stored,
                    advice="move clients and stored objects to a version that stays",
                )
        storage = [next((n for n, each in it.items() if each.get("storage")), "") for it in (was, now)]
        if storage[0] != storage[1]:
            title = f"{name} is stored as {storage[1]} now"
            yield differs("crd-storage", name, KIND, "medium", title, before=storage[0], after=storage[1])
        mine, theirs = old[name]["conversion"], new[name]["conversion"]
        if mine != theirs:
            title = f"{name} is converted in another way"
            yield differs("crd-conversion", name, KIND, "high", title, before=_text(mine), after=_text(theirs))
    for name, crd in sorted(new.items()):
        served_now = {each["name"] for each in crd["versions"] if each["served"]}
        left = [version for version in crd["storedVersions"] if version not in served_now]
        if left:
            yield differs(
                "stored-version-unserved",
                name,
                KIND,
                "high",
                f"objects of {name} may be stored as {', '.join(left)}, which is not served",
                after=f"stored {', '.join(crd['storedVersions'])}; served {', '.join(sorted(served_now))}",
                advice="rewrite the objects in a version that is served, and take it off status.storedVersions",
            )


# --- admission --------------------------------------------------------------------------------------------------------


def _webhooks(before: Moment, after: Moment) -> Iterator[Difference]:
    old, new = _hooks(before), _hooks(after)
    if old is not None and new is not None:
        for name, how in pairs(old.items(), new.items()):
            if how != "changed":
                word = "medium" if how == "gone" else "low"
                yield differs(f"webhook-{how}", name, KIND, word, f"the webhook {name} is {how}")
                continue
            yield from _webhook(name, old[name], new[name])
    for name, hook in sorted((new or {}).items()):
        if hook["endpoints"] == 0 and hook.get("failurePolicy", "Fail") == "Fail":
            yield differs(
                "webhook-without-endpoints",
                name,
                KIND,
                "high",
                f"the webhook {name} fails closed, and its service has no ready endpoint",
                after=_text(hook["client"].get("service")),
                advice="bring its backend up, or remove it: until then what it matches can't be written",
            )


def _webhook(name: str, was: Json, now: Json) -> Iterator[Difference]:
    for key in ("failurePolicy", "rules", "matchPolicy", "namespaceSelector", "objectSelector", "matchConditions"):
        mine, theirs = was.get(key), now.get(key)
        if mine != theirs:
            grave = key == "failurePolicy" and theirs == "Fail"
            word = "".join(f"-{c.lower()}" if c.isupper() else c for c in key)
            yield differs(
                f"webhook-{word}",
                name,
                KIND,
                "high" if grave else "medium",
                f"the webhook {name} has another {key}",
                before=_text(mine),
                after=_text(theirs),
                advice="look at what it lets through now, and what it refuses while its backend is down",
            )
    for key in ("sideEffects", "timeoutSeconds", "reinvocationPolicy", "admissionReviewVersions", "client"):
        if was.get(key) != now.get(key):
            title = f"the webhook {name} has another {key}"
            yield differs(
                "webhook-changed",
                f"{name}:{key}",
                KIND,
                "low",
                title,
                before=_text(was.get(key)),
                after=_text(now.get(key)),
            )


def _hooks(moment: Moment) -> dict[str, Json] | None:
    hooks = moment.evidence.get("webhooks")
    if hooks is None:
        return None
    return {
        f"{each['of'].removesuffix('webhookconfigurations')}/{each['configuration']}/{each['name']}": each
        for each in hooks
    }


def _policies(before: Moment, after: Moment) -> Iterator[Difference]:
    old, new = (
        {f"{it['of']}/{it['name']}": it for it in each.evidence.get("policies") or ()} for each in (before, after)
    )
    for name, how in pairs(old.items(), new.items()):
        severity = "low" if how == "new" else "medium"
        mine, theirs = _text(old.get(name, {}).get("spec")), _text(new.get(name, {}).get("spec"))
        yield differs(f"policy-{how}", name, KIND, severity, f"{name} is {how}", before=mine, after=theirs)


# --- servers ----------------------------------------------------------------------------------------------------------


def _services(before: Moment, after: Moment) -> Iterator[Difference]:
    old, new = _named(before, "apiServices"), _named(after, "apiServices")
    for name, service in sorted((new or {}).items()):
        if service["service"] and service["available"] != "True":
            was = (old or {}).get(name, {}).get("available", "")
            yield differs(
                "apiservice-down",
                name,
                KIND,
                "medium" if was and was != "True" else "high",
                f"the APIService {name} is not available: {service['reason']}",
                before=was,
                after=service["available"],
                advice="bring its backend up: namespaces can't be deleted while it is down",
            )
    if old is not None and new is not None:
        for name, how in pairs(old.items(), new.items()):
            if how == "gone" and old[name]["service"]:
                yield differs("apiservice-gone", name, KIND, "medium", f"the APIService {name} is gone")


def _skew(before: Moment, after: Moment) -> Iterator[Difference]:
    """Hold the components that are there against the version that the API server will have."""
    target = release(after.version)
    for entry in before.evidence.get("components") or ():
        allowed, has = _OLDER.get(entry["component"]), release(entry["version"])
        if allowed is None or has == (0, 0) or has[0] != target[0]:
            continue
        older = target[1] - has[1]
        if older > allowed or older < 0:
            how = f"{older} minors older" if older > 0 else f"{-older} minors newer"
            yield differs(
                "version-skew",
                f"{entry['component']}/{entry['instance']}",
                KIND,
                "high",
                f"{entry['component']} on {entry['instance']} is {how} than the API server will be",
                before=entry["version"],
                after=after.version,
                advice=f"upgrade it first: at most {allowed} older, and never newer",
            )
    step = target[1] - release(before.version)[1]
    if target[0] == release(before.version)[0] and (step > 1 or step < 0):
        word = "goes back" if step < 0 else f"skips {step - 1} of the minors between"
        title = f"from {before.version} to {after.version} {word}: API servers are upgraded one minor at a time"
        yield differs("minor-skipped", "kube-apiserver", KIND, "low", title, before=before.version, after=after.version)


def _named(moment: Moment, key: str) -> dict[str, Json] | None:
    found = moment.evidence.get(key)
    return None if found is None else {each["name"]: each for each in found}


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"
