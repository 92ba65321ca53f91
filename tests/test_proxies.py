from __future__ import annotations

import pytest

from conformance.clusters import proxies
from conformance.errors import UsageError

P = "http://proxy.example:3128"
NAMED, NUMBERED = "https://api.lab.example:6443", "https://10.1.2.3"

# What the variables say, the server, and the variable that decides; Go's httpproxy answers the same.
CASES = {
    "nothing": ({}, NAMED, None),
    "for https": ({"HTTPS_PROXY": P}, NAMED, "HTTPS_PROXY"),
    "in lower case": ({"https_proxy": P}, NAMED, "https_proxy"),
    "upper case first": ({"https_proxy": "http://other", "HTTPS_PROXY": P}, NAMED, "HTTPS_PROXY"),
    "empty is none": ({"HTTPS_PROXY": ""}, NAMED, None),
    "of the other scheme": ({"HTTP_PROXY": P}, NAMED, None),
    "for http": ({"HTTP_PROXY": P}, "http://api.lab.example", "HTTP_PROXY"),
    "for all is libcurl's": ({"ALL_PROXY": P}, NAMED, None),
    "not to localhost": ({"HTTPS_PROXY": P}, "https://localhost:6443", None),
    "not to loopback": ({"HTTPS_PROXY": P}, "https://127.8.0.1:6443", None),
    "not to loopback, six": ({"HTTPS_PROXY": P}, "https://[::1]:6443", None),
    "all excepted": ({"HTTPS_PROXY": P, "NO_PROXY": "*"}, NAMED, None),
    "the name": ({"HTTPS_PROXY": P, "NO_PROXY": "a, API.lab.example"}, NAMED, None),
    "in lower case excepted": ({"HTTPS_PROXY": P, "no_proxy": "api.lab.example"}, NAMED, None),
    "the domain": ({"HTTPS_PROXY": P, "NO_PROXY": "lab.example"}, NAMED, None),
    "half a name": ({"HTTPS_PROXY": P, "NO_PROXY": "ab.example"}, NAMED, "HTTPS_PROXY"),
    "what is below": ({"HTTPS_PROXY": P, "NO_PROXY": ".lab.example"}, NAMED, None),
    "only what is below": ({"HTTPS_PROXY": P, "NO_PROXY": ".api.lab.example"}, NAMED, "HTTPS_PROXY"),
    "with a star": ({"HTTPS_PROXY": P, "NO_PROXY": "*.example"}, NAMED, None),
    "its port": ({"HTTPS_PROXY": P, "NO_PROXY": "lab.example:6443"}, NAMED, None),
    "another port": ({"HTTPS_PROXY": P, "NO_PROXY": "lab.example:443"}, NAMED, "HTTPS_PROXY"),
    "the address": ({"HTTPS_PROXY": P, "NO_PROXY": "10.1.2.3"}, NUMBERED, None),
    "the address and port": ({"HTTPS_PROXY": P, "NO_PROXY": "10.1.2.3:443"}, NUMBERED, None),
    "the range": ({"HTTPS_PROXY": P, "NO_PROXY": "10.0.0.0/8"}, NUMBERED, None),
    "another range": ({"HTTPS_PROXY": P, "NO_PROXY": "10.2.0.0/16,10.1.2.0/33"}, NUMBERED, "HTTPS_PROXY"),
    "a range has no names": ({"HTTPS_PROXY": P, "NO_PROXY": "0.0.0.0/0"}, NAMED, "HTTPS_PROXY"),
    "six in brackets": ({"HTTPS_PROXY": P, "NO_PROXY": "[fd00::1]:6443"}, "https://[fd00::1]:6443", None),
    "six": ({"HTTPS_PROXY": P, "NO_PROXY": "fd00::/8"}, "https://[fd00::1]:6443", None),
    "empty entries": ({"HTTPS_PROXY": P, "NO_PROXY": " ,,:6443,*:6443"}, NUMBERED, "HTTPS_PROXY"),
}


@pytest.mark.parametrize(("environment", "server", "variable"), CASES.values(), ids=CASES)
def test_the_environment_is_read_as_kubectl_reads_it(
    environment: dict[str, str], server: str, variable: str | None
) -> None:
    assert proxies.from_environment(server, environment) == (None if variable is None else (P, variable))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("proxy.example:3128", P),
        ("https://u:p@proxy.example", "https://u:p@proxy.example"),
        ("socks5://proxy.example:1080", "socks5h://proxy.example:1080"),
        ("socks5h://proxy.example:1080", "socks5h://proxy.example:1080"),
    ],
)
def test_an_address_comes_out_as_libcurl_takes_it(said: str, meant: str) -> None:
    assert proxies.from_environment(NAMED, {"HTTPS_PROXY": said}) == (meant, "HTTPS_PROXY")


@pytest.mark.parametrize("said", ["ftp://u:password@h", "http://", "http://h:password", "http://[h", "http://\x1bh"])
def test_what_is_no_proxy_is_refused_and_not_repeated(said: str) -> None:
    with pytest.raises(UsageError, match="HTTPS_PROXY is no proxy's address") as caught:
        proxies.from_environment(NAMED, {"HTTPS_PROXY": said})
    assert "password" not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    assert proxies.shown("http://user:p@ss@proxy.example:3128/") == "http://proxy.example:3128/"
