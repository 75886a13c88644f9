"""A plain HTTPS client of the simulator, and the small tenant that most tests talk about."""

from __future__ import annotations

from typing import Any

import requests

from o365_etl.simulator import (
    SimDomain,
    SimMailbox,
    SimSignIn,
    SimSku,
    SimTenant,
    Simulator,
    SimUser,
)


class Caller:
    """A client of one simulator with nothing clever in it."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(simulator.ca_bundle)
        self._tokens: dict[str, str] = {}

    def sign_in(self, tenant: str, **form: str) -> requests.Response:
        """Ask for a token, as the partner's application unless `form` says otherwise."""
        partner = self.simulator.partner
        fields = {
            "client_id": partner.client_id,
            "client_secret": partner.client_secret,
            "grant_type": "client_credentials",
            "scope": f"{self.simulator.graph_url}/.default",
        }
        fields |= form
        url = f"{self.simulator.login_url}/{tenant}/oauth2/v2.0/token"
        return self.session.post(url, data={name: value for name, value in fields.items() if value}, timeout=10)

    def headers(self, tenant_id: str) -> dict[str, str]:
        """The authorization for a tenant."""
        if tenant_id not in self._tokens:
            self._tokens[tenant_id] = self.sign_in(tenant_id).json()["access_token"]
        return {"Authorization": f"Bearer {self._tokens[tenant_id]}"}

    def graph(
        self, tenant: SimTenant, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, **more: Any
    ) -> requests.Response:
        """Call Graph; `path` begins with the version or is a whole nextLink. Redirects are not followed."""
        url = path if path.startswith("https://") else f"{self.simulator.graph_url}{path}"
        return self.session.request(
            method,
            url,
            headers=self.headers(tenant.tenant_id) | (headers or {}),
            allow_redirects=False,
            timeout=10,
            **more,
        )

    def pages(self, tenant: SimTenant, path: str) -> list[dict[str, Any]]:
        """All pages of a collection."""
        found = []
        url: str | None = path
        while url:
            answer = self.graph(tenant, url)
            answer.raise_for_status()
            found.append(answer.json())
            url = found[-1].get("@odata.nextLink")
        return found

    def itglue(self, path: str, **params: str) -> requests.Response:
        """Call IT Glue."""
        return self.session.get(
            f"{self.simulator.itglue_url}{path}",
            params=params,
            headers={"x-api-key": self.simulator.itglue_api_key},
            timeout=10,
        )

    def code(self, tenant: SimTenant, path: str, **more: Any) -> tuple[int, str]:
        """Status and error code of a call that ought to fail."""
        answer = self.graph(tenant, path, **more)
        return answer.status_code, answer.json()["error"]["code"]


def contoso() -> SimTenant:
    """A small tenant with one of each: an admin, a guest, a shared mailbox, somebody without a mailbox."""
    anna = SimUser.person("Anna", "Berg", "contoso.example")
    anna.sign_in = SimSignIn("2026-01-02T03:04:05Z", "", "0001-01-01T00:00:00Z")
    guest = SimUser(
        "gast_other.example#EXT#@contoso.onmicrosoft.com",
        "Gast",
        mail="gast@other.example",
        user_type="Guest",
        creation_type="Invitation",
    )
    shared = SimUser("info@contoso.example", "Info", account_enabled=False, mailbox=SimMailbox("shared"))
    bare = SimUser("bare@contoso.example", "Bare")
    return SimTenant(
        "Contoso",
        domains=[
            SimDomain("contoso.onmicrosoft.com", is_initial=True),
            SimDomain("contoso.example", is_default=True),
            SimDomain("pending.example", is_verified=False),
        ],
        users=[anna, guest, shared, bare],
        skus=[SimSku("SPB", enabled=5), SimSku("ENTERPRISEPACK", enabled=0, consumed=14, suspended=25)],
        deleted_mailboxes=[("gone@contoso.example", "Gone")],
    )
