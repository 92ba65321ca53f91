"""What RBAC objects allow, computed the way the API server's own authorizer computes it."""
