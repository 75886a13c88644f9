"""The people of the demo's tenants: ordinary staff in bulk, and one of every awkward kind."""

from __future__ import annotations

import datetime as dt
import random
import unicodedata
from collections.abc import Sequence

from o365_etl.simulator.model import GIB, SimLicense, SimMailbox, SimSignIn, SimUser, stable_id
from o365_etl.simulator.names import DEPARTMENTS, GIVEN_NAMES, SURNAMES, TITLES, TOWNS
from o365_etl.simulator.products import PRODUCTS, UNKNOWN_PRODUCT

NEVER = "0001-01-01T00:00:00Z"
SHARED_NAMES = ("info", "billing", "support", "office", "orders", "jobs", "service", "press")


def staff(
    rng: random.Random, domain: str, initial_domain: str, count: int, skus: Sequence[str], now: dt.datetime
) -> list[SimUser]:
    """`count` users of a tenant: mostly licensed staff, some guests, shared mailboxes, leavers and service accounts."""
    taken: dict[str, int] = {}
    people: list[SimUser] = []
    for number in range(count):
        kind = rng.random()
        if kind < 0.04:
            people.append(_guest(rng, number, initial_domain))
        elif kind < 0.07:
            people.append(_shared(number, domain, now))
        elif kind < 0.08:
            people.append(_room(number, domain))
        elif kind < 0.10:
            people.append(_service_account(number, initial_domain))
        else:
            people.append(_employee(rng, domain, initial_domain, taken, skus, now, leaver=kind < 0.13))
    return people


def _employee(
    rng: random.Random,
    domain: str,
    initial_domain: str,
    taken: dict[str, int],
    skus: Sequence[str],
    now: dt.datetime,
    *,
    leaver: bool,
) -> SimUser:
    given, surname = rng.choice(GIVEN_NAMES), rng.choice(SURNAMES)
    local = f"{given}.{surname}".lower()
    taken[local] = taken.get(local, 0) + 1
    local += "" if taken[local] == 1 else str(taken[local])
    user = SimUser.person(given, surname, domain, skus=[rng.choice(list(skus))], local=local)
    # Exchange keeps every address unique within the tenant, aliases too
    short = f"{given[0]}.{surname}".lower()
    taken[short] = taken.get(short, 0) + 1
    user.proxy_addresses += [f"smtp:{short}{taken[short]}@{domain}", f"smtp:{local}@{initial_domain}"]
    if rng.random() < 0.3:
        user.proxy_addresses.append(f"SIP:{local}@{domain}")
    user.job_title, user.department = rng.choice(TITLES), rng.choice(DEPARTMENTS)
    user.city, user.office_location = rng.choice(TOWNS), f"Floor {rng.randint(1, 9)}"
    user.business_phones = [f"+1 206 555 {rng.randint(0, 9999):04d}"] if rng.random() < 0.6 else []
    user.mobile_phone = f"+1 425 555 {rng.randint(0, 9999):04d}" if rng.random() < 0.5 else None
    user.account_enabled = not leaver
    user.sign_in = _sign_in(rng, now)
    if user.mailbox is not None:
        user.mailbox.storage_used = rng.randint(1, 49 * GIB)
        user.mailbox.item_count = rng.randint(0, 90_000)
        user.mailbox.has_archive = rng.random() < 0.1
        user.mailbox.last_activity = (now - dt.timedelta(days=rng.randint(2, 90))).date()
    if rng.random() < 0.05:
        _assign_by_group(user)
    return user


def _assign_by_group(user: SimUser) -> None:
    """The same SKU twice, directly and by a group: one license, two assignments."""
    sku_id = user.licenses[0].sku_id
    user.licenses.append(SimLicense(sku_id, group=stable_id("group", "all-staff", sku_id)))


def _sign_in(rng: random.Random, now: dt.datetime) -> SimSignIn | None:
    kind = rng.random()
    if kind < 0.05:
        return None
    seen = (now - dt.timedelta(hours=rng.randint(1, 2000))).strftime("%Y-%m-%dT%H:%M:%SZ")
    if kind < 0.08:
        return SimSignIn("", seen, "")
    if kind < 0.11:
        return SimSignIn(NEVER, NEVER, None)
    return SimSignIn(seen, seen, seen)


def _guest(rng: random.Random, number: int, initial_domain: str) -> SimUser:
    local = f"{rng.choice(GIVEN_NAMES)}{number}".lower()
    pending = rng.random() < 0.3
    return SimUser(
        user_principal_name=f"{local}_partner.example#EXT#@{initial_domain}",
        display_name=f"{local.title()} (Partner)",
        mail=f"{local}@partner.example",
        other_mails=[f"{local}@partner.example"],
        user_type="Guest",
        creation_type="Invitation",
        external_user_state="PendingAcceptance" if pending else "Accepted",
        usage_location=None,
    )


def _shared(number: int, domain: str, now: dt.datetime) -> SimUser:
    series, which = divmod(number, len(SHARED_NAMES))
    local = f"{SHARED_NAMES[which]}{series or ''}"
    return SimUser(
        user_principal_name=f"{local}@{domain}",
        display_name=local.title(),
        mail=f"{local}@{domain}",
        proxy_addresses=[f"SMTP:{local}@{domain}"],
        account_enabled=False,
        mailbox=SimMailbox("shared", last_activity=(now - dt.timedelta(days=3)).date()),
    )


def _room(number: int, domain: str) -> SimUser:
    address = f"room{number}@{domain}"
    return SimUser(
        user_principal_name=address,
        display_name=f"Meeting room {number}",
        mail=address,
        proxy_addresses=[f"SMTP:{address}"],
        account_enabled=False,
        licenses=[SimLicense(PRODUCTS["MEETING_ROOM"].sku_id)] if number % 2 else [],
        mailbox=SimMailbox("room" if number % 3 else "equipment", item_count=90),
    )


def _service_account(number: int, initial_domain: str) -> SimUser:
    return SimUser(user_principal_name=f"svc-backup{number}@{initial_domain}", display_name=f"svc-backup{number}")


def awkward(domain: str, initial_domain: str, now: dt.datetime) -> list[SimUser]:
    """One user of every kind that has ever broken a program."""
    names = [
        ("Søren", "Kjærgård", "soren.kjaergard"),
        ("Siobhán", "O'Connor", "siobhan.oconnor"),
        ("Zoë", "d'Été-Łukasz", "zoe.dete"),
        ("<b>Bold", "& Co</b>", "bold"),
        ("Robert'); DROP TABLE", "Students;--", "bobby"),
        ('=HYPERLINK("http://evil.example","Click")', "@SUM(A1)", "formula"),
        # right-to-left names, and one with its direction forced by control characters
        ("\u05de\u05e8\u05d9\u05dd", "\u05db\u05d4\u05df", "miriam"),
        ("\u202e\u05d3\u05d5\u05d3\u202c", "\u0644\u06cc\u0644\u0627", "bidi"),
        ("花子", "山田", "hanako"),
        ("A" * 200, "B" * 199, "long"),
        ("Line\nBreak", "Tab\tStop", "breaks"),
        ("Emoji 🦄", "Smile 😀", "emoji"),
        ("José", "Nuñez", "jose.nfc"),
        (unicodedata.normalize("NFD", "José"), unicodedata.normalize("NFD", "Nuñez"), "jose.nfd"),
        ("  Blanks ", "  Around\u00a0 ", "blanks"),
        ('Quote"d', "Back\\slash", "quoted"),
    ]
    people = [SimUser.person(given, surname, domain, local=local) for given, surname, local in names]
    return [*people, *_odd_accounts(domain, initial_domain), *_odd_licenses(domain, now)]


def _odd_accounts(domain: str, initial_domain: str) -> list[SimUser]:
    nameless = SimUser.person("", "", domain, local="nameless")
    nameless.display_name = nameless.given_name = nameless.surname = None
    external = SimUser.person("Extern", "Member", domain, local="extern")
    external.user_principal_name = f"extern_agency.example#EXT#@{initial_domain}"
    external.creation_type, external.external_user_state = "Invitation", "Accepted"
    synced = SimUser.person("Synced", "Once", domain)
    synced.on_premises_sync_enabled = False
    from_directory = SimUser.person("On", "Premises", domain)
    from_directory.on_premises_sync_enabled = True
    typeless = SimUser.person("Type", "Less", domain)
    typeless.user_type = None
    shouting = SimUser.person("LOUD", "CASE", domain.upper(), local="LOUD.CASE")
    blocked = SimUser.person("Policy", "Blocked", domain)
    if blocked.mailbox is not None:
        blocked.mailbox.blocked = True
    no_mail = SimUser.person("No", "Mailbox", domain, skus=["O365_BUSINESS"])
    no_mail.mail, no_mail.proxy_addresses = None, []
    return [nameless, external, synced, from_directory, typeless, shouting, blocked, no_mail]


def _odd_licenses(domain: str, now: dt.datetime) -> list[SimUser]:
    free = SimUser.person("Free", "Only", domain, skus=["POWER_BI_STANDARD"])
    viral = SimUser.person("Viral", "Trial", domain, skus=["POWERAPPS_VIRAL", "FLOW_FREE"])
    unknown = SimUser.person("Unknown", "Product", domain, skus=[UNKNOWN_PRODUCT.part_number])
    several = ("SPB", "VISIOCLIENT", "PROJECTPROFESSIONAL", "POWER_BI_PRO")
    many = SimUser.person("Many", "Licenses", domain, skus=several)
    spb = PRODUCTS["SPB"].sku_id
    both = SimUser.person("Twice", "Assigned", domain)
    both.licenses.append(SimLicense(spb, group=stable_id("group", domain)))
    by_group = SimUser.person("Group", "Assigned", domain)
    by_group.licenses = [SimLicense(spb, group=stable_id("group", domain))]
    failing = SimUser.person("Assignment", "Error", domain, skus=["EXCHANGESTANDARD"])
    failing.licenses.append(
        SimLicense(spb, group=stable_id("group", domain), state="Error", error="MutuallyExclusiveViolation")
    )
    suspended = SimUser.person("Suspended", "Subscription", domain, skus=["ENTERPRISEPACK"])
    licensed_shared = SimUser.person("Licensed", "Shared", domain, skus=["EXCHANGESTANDARD"], local="reception")
    licensed_shared.account_enabled = False
    licensed_shared.mailbox = SimMailbox("shared", last_activity=(now - dt.timedelta(days=2)).date())
    full = SimUser.person("Mailbox", "Full", domain, skus=["SPE_E5"])
    full.mailbox = SimMailbox(
        storage_used=107_374_182_400, issue_warning_quota=105_226_698_752, prohibit_send_quota=106_300_440_576,
        prohibit_send_receive_quota=107_374_182_400, has_archive=True, last_activity=None,
    )  # fmt: skip
    return [free, viral, unknown, many, both, by_group, failing, suspended, licensed_shared, full]
