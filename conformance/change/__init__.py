"""Changes of roles and bindings, worked out before anybody makes them: what they do, and which one ends a finding."""
