"""Matching as a script does it: organization by organization, user by user, an equal e-mail or else the best name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rapidfuzz import fuzz, process

from benchmarks.peers.job import Pairs, matching

CUTOFF = 90


def work(folder: Path) -> Pairs:
    """The contact that has the user's e-mail; else the one whose full name is most alike, from 90 of 100."""
    users, contacts, emails = (pd.read_parquet(folder / f"{name}.parquet") for name in ("users", "contacts", "emails"))
    contacts["name"] = (contacts["first_name"].fillna("") + " " + contacts["last_name"].fillna("")).str.lower()
    emails_of = dict(list(emails.groupby("organization_id")))
    contacts_of = dict(list(contacts.groupby("organization_id")))
    found: Pairs = []
    for organization_id, people in users.groupby("organization_id"):
        if organization_id not in contacts_of:
            continue
        here = contacts_of[organization_id]
        names, ids = here["name"].tolist(), here["contact_id"].tolist()
        mails = emails_of.get(organization_id)
        by_email = {} if mails is None else dict(zip(mails["address"].str.lower(), mails["contact_id"], strict=True))
        for user in people.itertuples():
            contact = by_email.get(user.mail.lower())
            if contact is None:
                name = f"{user.given_name or ''} {user.surname or ''}".lower()
                best = process.extractOne(name, names, scorer=fuzz.ratio, score_cutoff=CUTOFF)
                contact = ids[best[2]] if best else None
            if contact is not None:
                found.append((user.tenant_id, user.user_id, contact))
    return found


if __name__ == "__main__":
    matching(work)
