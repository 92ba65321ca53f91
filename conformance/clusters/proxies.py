"""Which proxy leads to a server: what the kubeconfig says, else what the environment says.

The environment is read as kubectl does (Go's httpproxy), not as libcurl or Python do: HTTPS_PROXY before https_proxy,
no ALL_PROXY, address ranges in NO_PROXY, and never a proxy to this machine itself.
"""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from conformance.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES = ("http", "https", "socks5", "socks5h")
_PORTS = {"http": 80, "https": 443}


def checked(proxy: str, source: str) -> str:
    """Give a proxy's address as libcurl understands it; one that is none is an error that names where it stands."""
    try:
        parts = urlsplit(proxy)
        good = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0 and proxy.isprintable()
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{source} is no proxy's address; they look like http://proxy.example:3128")
    # To Go socks5 means that the proxy looks names up, which libcurl calls socks5h.
    return f"socks5h{proxy[len('socks5') :]}" if parts.scheme == "socks5" else proxy


def shown(proxy: str) -> str:
    """Give a proxy's address without the password that may stand in it."""
    parts = urlsplit(proxy)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def from_environment(server: str, environment: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """Give the proxy that the environment names for a server and the variable that says so; None for none."""
    parts = urlsplit(server)
    upper = f"{parts.scheme}_proxy".upper()
    variable = next((name for name in (upper, upper.lower()) if environment.get(name)), None)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    excepted = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    if variable is None or _is_here(host) or any(_covers(entry, host, port) for entry in excepted.split(",")):
        return None
    proxy = environment[variable]
    return checked(proxy if "://" in proxy else f"http://{proxy}", variable), variable


def _is_here(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def _covers(entry: str, host: str, port: int) -> bool:
    """Say whether an entry of NO_PROXY is about this server: a name with all below it, an address, a range, or `*`."""
    entry, address = entry.strip().lower(), _address(host)
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    if (alone := _address(entry)) is not None:
        return alone == address
    name, colon, wanted = entry.rpartition(":")
    if colon:
        if wanted != str(port):
            return False
        if (alone := _address(name)) is not None:
            return alone == address
        entry = name
    entry = entry.removeprefix("*")
    return bool(entry) and (host.endswith(entry) if entry.startswith(".") else f".{host}".endswith(f".{entry}"))
