"""The three opinions on a cell: the request itself, the server's review, and the RBAC rules; and why they may differ."""
