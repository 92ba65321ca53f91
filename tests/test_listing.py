from __future__ import annotations

from typing import Any

import orjson
import pytest

from conformance import listing
from conformance.errors import ClusterError
from conformance.model import Response
from conformance.transport import Client


class Pages(Client):
    """Answers one after the other, and notes what was asked."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.answers, self.asked = list(answers), list[dict[str, str]]()

    def ask(self, method: str, path: str, **options: Any) -> Response:
        assert (method, path) == ("GET", "/things")
        self.asked.append(dict(options["query"]))
        status, document = self.answers.pop(0)
        return Response(status, {}, orjson.dumps(document), 0.0)


def page(*names: str, token: str = "") -> tuple[int, Any]:
    return 200, {"metadata": {"continue": token}, "items": [{"metadata": {"name": name}} for name in names]}


def names(client: Pages) -> list[str]:
    return [item["metadata"]["name"] for item in listing.items(client, "/things")]


FIRST, GONE = {"limit": "500"}, (410, {"message": "too old"})


def test_pages_are_joined() -> None:
    client = Pages(page("a", token="1"), page("b", token="2"), page("c"))
    assert names(client) == ["a", "b", "c"]
    assert client.asked == [FIRST, FIRST | {"continue": "1"}, FIRST | {"continue": "2"}]


def test_an_expired_token_starts_the_list_again() -> None:
    client = Pages(page("a", token="1"), GONE, page("b", token="2"), page("c"))
    assert names(client) == ["b", "c"]
    assert client.asked[2] == FIRST


def test_tokens_that_always_expire_end_in_one_answer() -> None:
    client = Pages(*[page("a", token="1"), GONE] * listing.RESTARTS, page("a", "b"))
    assert names(client) == ["a", "b"]
    assert client.asked[-1] == {}


def test_an_endless_410_is_an_error() -> None:
    with pytest.raises(ClusterError, match="GET /things: 410"):
        names(Pages(*[GONE] * (listing.RESTARTS + 1)))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((403, {"message": "no"}), "GET /things: 403 no"),
        ((200, {"items": []}), "no list of objects"),
        ((200, {"metadata": {}, "items": {}}), "no list of objects"),
        ((200, []), "no list of objects"),
        ((200, {"metadata": {}, "items": [{}]}), "no object with metadata"),
    ],
)
def test_anything_else_than_a_list_is_an_error(answer: tuple[int, Any], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        names(Pages(answer))


def test_no_items_are_an_empty_list() -> None:
    assert names(Pages((200, {"metadata": {}, "items": None}))) == []
