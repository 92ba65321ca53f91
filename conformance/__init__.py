"""Ask a real Kubernetes API server what it does and whom it lets do it."""

__version__ = "0.1.0"
