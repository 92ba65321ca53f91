"""What a server asks for beyond authorization: a second verb that a handler or an admission plugin checks."""

from __future__ import annotations

from dataclasses import replace

from conformance.model import Attributes


def also_needed(attributes: Attributes) -> tuple[tuple[Attributes, str], ...]:
    """Give the rights that a handler asks for after authorization, with the reason; none for most requests.

    Sources: pkg/registry/core/pod/rest/subresources.go, pkg/registry/rbac/escalation_check.go,
    plugin/pkg/admission/certificates, k8s.io/apiserver/pkg/endpoints/handlers (create on update).
    """
    verb, resource, subresource = attributes.verb, attributes.resource, attributes.subresource
    rbac = attributes.group == "rbac.authorization.k8s.io" and not subresource
    if (
        not attributes.group
        and resource == "pods"
        and verb == "get"
        and subresource in {"exec", "attach", "portforward"}
    ):
        create = replace(attributes, verb="create")
        return ((create, f"{subresource} by GET, as WebSocket clients ask, is also checked for the verb create"),)
    if verb == "update" and not subresource:
        create = replace(attributes, verb="create")
        return ((create, "a PUT that has to create the object is also checked for the verb create"),)
    if rbac and verb in {"create", "update", "patch"}:
        if resource in {"roles", "clusterroles"}:
            escalate = replace(attributes, verb="escalate")
            return ((escalate, "rules that one does not have need the verb escalate on the role"),)
        if resource in {"rolebindings", "clusterrolebindings"}:
            role = "roles" if resource == "rolebindings" else "clusterroles"
            bind = replace(attributes, verb="bind", resource=role, name="")
            return ((bind, "a role whose rules one does not have needs the verb bind on that role"),)
    if (attributes.group, resource) == ("certificates.k8s.io", "certificatesigningrequests") and verb in {
        "update",
        "patch",
    }:
        needed = {"approval": "approve", "status": "sign"}.get(subresource)
        if needed:
            signer = Attributes(needed, attributes.group, "", "signers")
            return ((signer, f"the signer's name needs the verb {needed} on signers"),)
    return ()
