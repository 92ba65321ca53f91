"""The errors that a user can mend: one class for each, its message says how.

`exit_code` is the contract of the command (README, "Exit codes"); whatever else is raised is our own fault, code 3.
"""

from __future__ import annotations

from typing import ClassVar


class ConformanceError(Exception):
    """Something that stops the work and that the user can mend."""

    exit_code: ClassVar[int] = 3


class UsageError(ConformanceError):
    """Options contradict each other, name nothing, or need something that is not there."""

    exit_code = 4


class FileError(UsageError):
    """A file of the user's is wrong: says file, line, key and what would be valid."""

    def __init__(self, file: object, line: int | None, problem: str) -> None:
        self.file, self.line, self.problem = str(file), line, problem
        super().__init__(f"{file}:{line}: {problem}" if line is not None else f"{file}: {problem}")


class ClusterError(ConformanceError):
    """The cluster could not be reached or started."""

    exit_code = 5


class AssetsError(ClusterError):
    """The programs of the control plane could not be had."""


class IdentityError(ClusterError):
    """An identity could not be prepared, or the server knows it under another name than we think."""


class RunFileError(UsageError):
    """A saved run cannot be read."""
