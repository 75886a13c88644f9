"""Accepting all suggestions from a score on: a preview of exactly that, and what was ticked in it.

What does not live here: one suggestion at a time (`matching`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from o365_etl.errors import ConfigError
from o365_etl.pipeline import deciding
from o365_etl.pipeline.standing import standings
from o365_etl.review.answering import back, desk_of, page, session_of, workspace_of
from o365_etl.review.forms import Form
from o365_etl.review.pages.match_words import evidence_in_words
from o365_etl.review.rendering import plural

SCORE = 90
# Decisions that one form may carry; the next ones are on the page that follows it.
AT_ONCE = 1_000


def preview(request: Request) -> Response:
    """Exactly what would be accepted from a score on."""
    try:
        score = float(request.query_params.get("score", SCORE))
    except ValueError:
        score = SCORE
    score = max(60.0, min(100.0, score)) if score == score else SCORE
    held = standings(workspace_of(request))
    sure = [row for row in held.find("suggested") if row.suggested and row.suggested.score >= score]
    claimed: dict[str, int] = {}
    for row in sure:
        if row.suggested:
            claimed[row.suggested.organization_id] = claimed.get(row.suggested.organization_id, 0) + 1
    rows = []
    for row in sure[:AT_ONCE]:
        if row.suggested:
            having = [each.tenant_name for each in held.holders.get(row.suggested.organization_id, ())]
            doubt = f"{', '.join(having[:3])} has it already" if having else None
            if claimed[row.suggested.organization_id] > 1:
                doubt = "it is the best suggestion for another tenant too"
            words = evidence_in_words(row.suggested.evidence)
            rows.append({"tenant": row, "best": row.suggested, "words": words, "doubt": doubt})
    return page(request, "accept_all.html", {"score": score, "rows": rows, "more": len(sure) - len(rows)})


def accept_all(request: Request, form: Form) -> Response:
    """Accept what was ticked; what changed since the preview is told and not done."""
    wanted = []
    for value in form.all("accept")[:AT_ONCE]:
        parts = value.split(":")
        if len(parts) != 3 or not parts[2].isdecimal():
            raise ConfigError(f"accept: {value!r} names no suggestion", remedy="Load the preview again.")
        wanted.append((parts[0], parts[1], int(parts[2])))
    if not wanted:
        return back(request, form, "/matching?show=suggested", "Nothing was ticked, so nothing was accepted.", "told")
    done, refused = deciding.accept_all(workspace_of(request), wanted, who=session_of(request).who)
    session = session_of(request)
    if done:
        desk_of(request).worker.ask("rematch")
        session.note("done", f"{plural(len(done), 'suggestion')} accepted. It takes effect in a moment.")
    for row in refused[:20]:
        session.note("told", f"{row['tenant_name']} was left as it is: {row['problem']}.")
    if len(refused) > 20:
        session.note("told", f"{len(refused) - 20} more were left as they are, because something changed meanwhile.")
    return back(request, form, "/matching?show=suggested")


PAGES: Mapping[str, Callable[[Request], Response]] = {"/matching/accept-all": preview}
FORMS: Mapping[str, Callable[[Request, Form], Response]] = {"/matching/accept-all": accept_all}
