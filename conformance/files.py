"""Where the project's data is, in a checkout as well as in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data(name: str) -> Path:
    """Return the folder `fixtures` or `controlplane`.

    A wheel carries them inside the package, a checkout beside it. A missing folder is a broken installation.
    """
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{name}/ is missing from this installation of kube-conformance; install it again")
