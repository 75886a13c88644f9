"""An HTTPS server that speaks just enough JSON:API to behave in ways the simulator's IT Glue does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from o365_etl.simulator.transport import Request, Response

MEDIA_TYPE = {"Content-Type": "application/vnd.api+json"}


def refusal(status: int, detail: str) -> Response:
    """A JSON:API error."""
    return Response(status, json.dumps({"errors": [{"status": status, "detail": detail}]}).encode(), dict(MEDIA_TYPE))


@dataclass
class OddServer:
    """Serves `records` under every path, oldest id first.

    `cap` is the largest page it gives, `slow_above` the largest it can make in time, `refuses` the parameters it
    answers 400 to; `before_page` is called with the number of each call before it is answered and may change
    `records`; `meta` changes what it says about paging; `ignores_page` makes every page the first.
    """

    records: list[int]
    cap: int = 1000
    slow_above: int = 1000
    refuses: tuple[str, ...] = ()
    ignores_page: bool = False
    before_page: Callable[[OddServer, int], None] | None = None
    meta: Callable[[dict[str, Any]], dict[str, Any]] = dict
    calls: list[dict[str, str]] = field(default_factory=list)

    def respond(self, request: Request) -> Response:
        """Answer one request."""
        query = request.query
        self.calls.append(dict(query))
        for name in self.refuses:
            if name in query:
                return refusal(400, f"{name} is not allowed")
        if self.before_page is not None:
            self.before_page(self, len(self.calls))
        asked = int(query["page[size]"])
        if asked > self.slow_above:
            return refusal(500, "The request took too long to process and timed out.")
        size = min(asked, self.cap)
        number = 1 if self.ignores_page else int(query["page[number]"])
        rows = sorted(self.records)[(number - 1) * size : number * size]
        pages = max(1, -(-len(self.records) // size))
        meta = {
            "current-page": number,
            "next-page": number + 1 if number < pages else None,
            "total-pages": pages,
            "total-count": len(self.records),
        }
        data = [{"id": str(row), "type": "contacts", "attributes": {"notes": "ä\n"}} for row in rows]
        body = {"data": data, "meta": self.meta(meta), "links": {}, "included": [{"type": "adapters-resources"}]}
        return Response(200, json.dumps(body).encode(), dict(MEDIA_TYPE))
