"""The three opinions on a cell: the request itself, the server's review, the RBAC rules; and why they may differ."""
