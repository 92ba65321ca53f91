"""The suites that users run: `kube-conformance audit`, or `pytest --pyargs conformance.suites`."""
