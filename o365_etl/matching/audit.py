"""The audit before a tenant's first apply: new users who resemble a contact that nobody has.

No rule matched such a user, so a contact would be created for him; where one that resembles him is free, a person looks
first. A resemblance is never a match. The kinds, strongest first, and when they hold:

    swapped_names    first = last and last = first, normalised
    display_name     a user without given name or surname, whose display name is the contact's ("Berg, Anna" as well)
    typo             equal once diacritics, hyphens and blanks are folded (Müller, Mueller, Muller), or 1 edit apart, 2
                     from 10 letters on, if they are likely slips (`_is_slip`) and not in the first letters of both
                     names, nor make one short first name another (Lena, Lina)
    same_mailbox     the part before the @ is equal, at another domain, and says something
    nickname         same last name; first names that are one name (Robert, Bob), begin alike (Alex, Alexis; at least 3
                     letters), or of which one is an initial
    same_phone       a number of at least 7 digits is equal, and is no switchboard's
    changed_surname  same first name, other last name, and: the same phone, or a mailbox of one with the other's last
                     name in it, or the only two of that first name, with equal titles

Pure: people of one organization in, resemblances out. What does not live here: the rules that match
(`store/sql/match_*.sql`), and whose contact is free (`store.audit`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import OSA

from o365_etl.matching.nicknames import DESKS, NAMES
from o365_etl.normalise import NATIONAL_DIGITS, SWITCHBOARD, digits, normalise

KINDS = ("swapped_names", "display_name", "typo", "same_mailbox", "nickname", "same_phone", "changed_surname")
# Contacts shown to a person for one user.
MOST = 5
_SHORTEST_PHONE = 7
_SHORTEST_MAILBOX = 4
_SHORTEST_PREFIX = 3
# Shorter, a last name in a mailbox is chance; and shorter than the second, unless it stands alone ("ann.lee").
_SHORTEST_WORD, _SHORTEST_PIECE = 3, 4
# Full names from so many letters on may have two slips.
_LONG_NAME = 10
# First names up to so many letters that both exist are two names, however near.
_SHORT_NAME = 5
# Of more contacts by one kind a person learns nothing; it bounds the work where all are called alike.
_ENOUGH = 100
# Rows of the distance matrix in memory at once.
_CHUNK = 512

_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ħ": "h"})
_GLUE = re.compile(r"[-‐‑–'’`´]")
_BETWEEN_WORDS = re.compile(r"[\s.,;_()/]+")
_BETWEEN_MAILBOX_WORDS = re.compile(r"[\W\d_]+")
# The second letter of a written-out umlaut: ae, oe, ue, and aa for å.
_WRITTEN_OUT = re.compile(r"(?<=[aou])e|(?<=a)a")


@dataclass(frozen=True, slots=True)
class AuditUser:
    """A user of the organization's tenants. One who is not new only counts as a bearer of his phone numbers."""

    tenant_id: str
    user_id: str
    first_name: str | None = None
    last_name: str | None = None
    display_name: str | None = None
    title: str | None = None
    phones: Sequence[str] = ()
    addresses: Sequence[str] = ()
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class AuditContact:
    """A contact of the organization. One that is not free only counts as a bearer of its phone numbers."""

    contact_id: str
    first_name: str | None = None
    last_name: str | None = None
    title: str | None = None
    phones: Sequence[str] = ()
    addresses: Sequence[str] = ()
    is_free: bool = True


@dataclass(frozen=True, slots=True)
class Resemblance:
    """One contact that a user resembles; `why` are words of `KINDS`, in their order."""

    contact_id: str
    why: tuple[str, ...]


def audit(users: Sequence[AuditUser], contacts: Sequence[AuditContact]) -> dict[tuple[str, str], list[Resemblance]]:
    """(tenant id, user id) → the free contacts that a new user resembles, best first, at most `MOST`.

    `users` and `contacts` are those of one organization. Best is what has most kinds, then the strongest kind, then
    the lowest contact id. Users who resemble nobody are left out.
    """
    # Sorted, so that what is cut off at `_ENOUGH` does not depend on the order in which contacts come.
    contacts = sorted(contacts, key=lambda contact: _id_order(contact.contact_id))
    finder = _Finder([_Person.of(user) for user in users], [_Person.of(contact) for contact in contacts])
    found = {}
    for position, user in enumerate(users):
        if not user.is_new:
            continue
        why: dict[int, list[str]] = defaultdict(list)
        for kind in KINDS:
            for at in islice(_distinct(finder.find(kind, position)), _ENOUGH):
                why[at].append(kind)
        if why:
            best = sorted(why, key=lambda at: (-len(why[at]), KINDS.index(why[at][0]), at))[:MOST]
            found[user.tenant_id, user.user_id] = [Resemblance(contacts[at].contact_id, tuple(why[at])) for at in best]
    return found


def held_back(
    users: Iterable[Mapping[str, Any]], contacts: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, str, str, str]]:
    """`audit` on rows that are named like its fields, as rows of `match.contacts`: tenant id, user id, candidates and
    evidence (JSON).
    """
    found = audit([AuditUser(**row) for row in users], [AuditContact(**row) for row in contacts])
    for (tenant_id, user_id), resemblances in found.items():
        candidates = [each.contact_id for each in resemblances]
        evidence = {"resembles": [{"contact_id": each.contact_id, "why": list(each.why)} for each in resemblances]}
        yield tenant_id, user_id, json.dumps(candidates, ensure_ascii=False), json.dumps(evidence, ensure_ascii=False)


def _distinct(positions: Iterable[int]) -> Iterator[int]:
    seen: set[int] = set()
    for position in positions:
        if position not in seen:
            seen.add(position)
            yield position


def _id_order(id_: str) -> tuple[int, str]:
    """Ids are numbers written as text: the eldest first."""
    return len(id_), id_


def _plain(text: str) -> str:
    """Normalised text without diacritics."""
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return unicodedata.normalize("NFC", "".join(letter for letter in letters if not unicodedata.combining(letter)))


def _loose(bare: str) -> str:
    """A bare name in which a written-out umlaut is what is left of the umlaut itself."""
    return _WRITTEN_OUT.sub("", bare)


@dataclass(frozen=True, slots=True)
class _Person:
    """A user or a contact with everything that is compared.

    Names as they are (normalised), bare (without diacritics, hyphens and blanks) and loose (see `_loose`). Of one who
    is not open, a known user or a contact that somebody has, only the phones are there: nothing else can be found.
    """

    is_open: bool
    phones: tuple[str, ...]
    first: str = ""
    last: str = ""
    shown: str = ""
    first_word: str = ""
    bare_first: str = ""
    bare_last: str = ""
    loose_first: str = ""
    loose_last: str = ""
    title: str = ""
    mailboxes: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, person: AuditUser | AuditContact) -> _Person:
        """Make ready for comparing."""
        is_open = person.is_new if isinstance(person, AuditUser) else person.is_free
        numbers = (digits(phone) for phone in person.phones)
        phones = tuple(number for number in numbers if len(number) >= _SHORTEST_PHONE)
        if not is_open:
            return cls(is_open, phones)
        first, last = normalise(person.first_name or ""), normalise(person.last_name or "")
        words = _BETWEEN_WORDS.sub(" ", _GLUE.sub("", _plain(first))).split()
        bare_first = "".join(words)
        bare_last = _BETWEEN_WORDS.sub("", _GLUE.sub("", _plain(last)))
        addresses = (normalise(address).rpartition("@") for address in person.addresses)
        return cls(
            is_open,
            phones,
            first=first,
            last=last,
            shown=normalise(person.display_name or "") if isinstance(person, AuditUser) else f"{first} {last}".strip(),
            first_word=words[0] if words else "",
            bare_first=bare_first,
            bare_last=bare_last,
            loose_first=_loose(bare_first),
            loose_last=_loose(bare_last),
            title=normalise(person.title or ""),
            mailboxes=tuple((mailbox, domain) for mailbox, at, domain in addresses if at),
        )

    @property
    def has_both_names(self) -> bool:
        """First and last name, with a letter in each."""
        return bool(self.bare_first and self.bare_last)

    @property
    def has_initial(self) -> bool:
        """The first name begins with an initial; scripts without capitals have none, there one letter is a name."""
        return len(self.first_word) == 1 and self.first_word != self.first_word.upper()


class _Phones:
    """Who of these people has which number."""

    def __init__(self, people: Sequence[_Person]) -> None:
        self._bearers: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        for position, person in enumerate(people):
            for number in person.phones:
                self._bearers[number[-NATIONAL_DIGITS:]][number].add(position)
        self._found: dict[str, list[int]] = {}

    def bearers(self, number: str) -> list[int]:
        """Positions of the people with this number, with or without what stands before the national digits."""
        if number not in self._found:
            # Of a number shorter than the national digits the whole stands here, so only the same is found.
            alike = self._bearers.get(number[-NATIONAL_DIGITS:], {})
            sets = (who for other, who in alike.items() if other == number or len(other) != len(number))
            self._found[number] = sorted(set().union(*sets))
        return self._found[number]


class _Finder:
    """Finds the free contacts that new users resemble; an index for each kind, so that nobody is compared with all."""

    def __init__(self, users: Sequence[_Person], contacts: Sequence[_Person]) -> None:
        self._users = users
        self._contacts = contacts
        self._user_phones = _Phones(users)
        self._phones = _Phones(contacts)
        self._typos = _Typos(users, contacts)
        self._find = {
            "swapped_names": self._swapped,
            "display_name": self._by_display_name,
            "typo": self._by_typo,
            "same_mailbox": self._by_mailbox,
            "nickname": self._by_nickname,
            "same_phone": self._by_phone,
            "changed_surname": self._by_changed_surname,
        }
        last_names: dict[str, set[str]] = defaultdict(set)
        for user in users:
            if user.has_both_names:
                last_names[user.loose_first].add(user.loose_last)
        self._first_names_of_users = Counter(user.loose_first for user in users)
        self._by_key: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for position, contact in enumerate(contacts):
            for key in dict.fromkeys(_keys(contact, last_names.get(contact.loose_first))):
                self._by_key[key].append(position)

    def find(self, kind: str, user: int) -> Iterable[int]:
        """Positions of the contacts that a user resembles in this way, some perhaps twice."""
        return self._find[kind](user)

    def _at(self, *key: str) -> Sequence[int]:
        return self._by_key.get(key, ())

    def _swapped(self, position: int) -> Iterable[int]:
        user = self._users[position]
        return self._at("name", user.last, user.first)

    def _by_display_name(self, position: int) -> Iterable[int]:
        user = self._users[position]
        return self._at("shown", user.shown) if user.shown and not (user.first and user.last) else ()

    def _by_typo(self, position: int) -> Iterable[int]:
        user = self._users[position]
        equal: Iterable[int] = self._at("loose", user.loose_first + user.loose_last)
        if not user.has_both_names:
            # A first name alone is no name: one of the two must know which is which.
            equal = (at for at in equal if self._contacts[at].has_both_names)
        return chain(equal, self._typos.of(position))

    def _by_mailbox(self, position: int) -> Iterator[int]:
        for mailbox, domain in self._users[position].mailboxes:
            if _says_who(mailbox):
                for at in self._at("mailbox", mailbox):
                    if any(same == mailbox and other != domain for same, other in self._contacts[at].mailboxes):
                        yield at

    def _by_nickname(self, position: int) -> Iterator[int]:
        user = self._users[position]
        if not user.has_both_names:
            return
        last, bare = user.loose_last, user.bare_first
        keys = [("one name", last, str(group)) for group in NAMES.get(user.first_word, ())]
        keys += [("first", last, bare[:length]) for length in range(_SHORTEST_PREFIX, len(bare))]
        if len(bare) >= _SHORTEST_PREFIX:
            keys.append(("begins", last, bare))
        keys.append(("letter" if user.has_initial else "initial", last, user.first_word[0]))
        for key in keys:
            for at in self._at(*key):
                contact = self._contacts[at]
                # Equal first words that go on differently (Robert J., Robert K.) are no nickname of each other.
                if contact.loose_first != user.loose_first and (
                    key[0] != "one name" or contact.first_word != user.first_word
                ):
                    yield at

    def _by_phone(self, position: int) -> Iterator[int]:
        for number in self._users[position].phones:
            bearers = self._phones.bearers(number)
            if len(bearers) < SWITCHBOARD and len(self._user_phones.bearers(number)) < SWITCHBOARD:
                yield from (at for at in bearers if self._contacts[at].is_open)

    def _by_changed_surname(self, position: int) -> Iterator[int]:
        user = self._users[position]
        if not user.has_both_names:
            return
        first, last = user.loose_first, user.loose_last
        bearers = self._at("loose first", first)
        if not bearers:
            return
        theirs = (self._at("loose name", first, name) for name in sorted(_last_names_in(user) - {last}))
        for at in chain(self._by_phone(position), *theirs, self._at("mailbox name", first, last)):
            contact = self._contacts[at]
            if contact.loose_first == first and contact.has_both_names and contact.loose_last != last:
                yield at
        only_two = self._first_names_of_users[first] == 1 and len(bearers) == 1
        if only_two and len(user.bare_first) >= _SHORTEST_WORD:
            contact = self._contacts[bearers[0]]
            if contact.has_both_names and contact.loose_last != last and contact.title == user.title != "":
                yield bearers[0]


def _keys(contact: _Person, last_names: Set[str] | None) -> Iterator[tuple[str, ...]]:
    """Everything that a user may ask for a contact by. `last_names` are those of the users of that first name."""
    if contact.first and contact.last:
        yield "name", contact.first, contact.last
        yield "shown", f"{contact.last}, {contact.first}"
    if " " in contact.shown:
        yield "shown", contact.shown
    if contact.bare_first or contact.bare_last:
        yield "loose", contact.loose_first + contact.loose_last
    for mailbox, _ in contact.mailboxes:
        yield "mailbox", mailbox
    if contact.loose_first:
        yield "loose first", contact.loose_first
    if not contact.has_both_names:
        return
    last, bare = contact.loose_last, contact.bare_first
    yield "loose name", contact.loose_first, last
    for name in _last_names_in(contact) & last_names - {last} if last_names else ():
        yield "mailbox name", contact.loose_first, name
    for group in NAMES.get(contact.first_word, ()):
        yield "one name", last, str(group)
    yield "first", last, bare
    for length in range(_SHORTEST_PREFIX, len(bare)):
        yield "begins", last, bare[:length]
    yield "letter", last, contact.first_word[0]
    if contact.has_initial:
        yield "initial", last, contact.first_word


def _says_who(mailbox: str) -> bool:
    return (
        len(mailbox) >= _SHORTEST_MAILBOX
        and any(letter.isalpha() for letter in mailbox)
        and _BETWEEN_MAILBOX_WORDS.sub("", _plain(mailbox)) not in DESKS
    )


def _last_names_in(person: _Person) -> set[str]:
    """Whatever in a person's mailboxes may be somebody's last name, loose. His own name and pieces of it say nothing:
    Ann Leeman is not Ann Lee; but the whole words of a double name do: Anna Berg-Dahl may be Anna Berg.
    """
    found: set[str] = set()
    for mailbox, _ in person.mailboxes:
        words = [_loose(word) for word in _BETWEEN_MAILBOX_WORDS.split(_plain(mailbox)) if word]
        words += [one + other for one, other in pairwise(words)]
        found.update(word for word in words if len(word) >= _SHORTEST_WORD)
        for word in words:
            for piece in word.split(person.loose_last):
                ends = range(_SHORTEST_PIECE, len(piece) + 1)
                found.update(piece[start:end] for end in ends for start in range(end - _SHORTEST_PIECE + 1))
    return found - {person.loose_first}


class _Typos:
    """Which contacts' full names are a slip or two away from a user's."""

    def __init__(self, users: Sequence[_Person], contacts: Sequence[_Person]) -> None:
        self._names = [(user.bare_first, user.bare_last) for user in users]
        self._contacts: dict[tuple[str, str], list[int]] = defaultdict(list)
        for position, contact in enumerate(contacts):
            if contact.has_both_names:
                self._contacts[contact.bare_first, contact.bare_last].append(position)
        self._alike = _names_alike(
            list(dict.fromkeys((u.bare_first, u.bare_last) for u in users if u.has_both_names)),
            list(self._contacts),
        )

    def of(self, user: int) -> Iterator[int]:
        """Positions of those contacts; equal names are not among them."""
        for name in self._alike.get(self._names[user], ()):
            yield from self._contacts[name]


_Name = tuple[str, str]


def _names_alike(users: Sequence[_Name], contacts: Sequence[_Name]) -> dict[_Name, list[_Name]]:
    found: dict[_Name, list[_Name]] = defaultdict(list)
    if not contacts:
        return found
    choices = [" ".join(name) for name in contacts]
    slips_of_contacts = _slips_allowed(contacts)
    for start in range(0, len(users), _CHUNK):
        chunk = users[start : start + _CHUNK]
        distances = process.cdist(
            [" ".join(name) for name in chunk], choices, scorer=OSA.distance, score_cutoff=2, dtype=np.uint8
        )
        allowed = np.minimum(_slips_allowed(chunk)[:, np.newaxis], slips_of_contacts)
        rows, columns = np.nonzero(distances <= allowed)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if _is_typo(chunk[row], contacts[column]):
                found[chunk[row]].append(contacts[column])
    return found


def _slips_allowed(names: Sequence[_Name]) -> npt.NDArray[np.uint8]:
    return np.array([2 if len(first) + len(last) >= _LONG_NAME else 1 for first, last in names], dtype=np.uint8)


def _is_typo(one: _Name, other: _Name) -> bool:
    """Two full names, near enough as a whole: is each difference a likely slip, and not another name?"""
    if one == other or (one[0][0] != other[0][0] and one[1][0] != other[1][0]):
        return False
    if not all(x == y or _is_slip(x, y) for x, y in zip(one, other, strict=True)):
        return False
    if one[0] == other[0] or min(len(one[0]), len(other[0])) > _SHORT_NAME:
        return True
    # Where both short first names exist and are not one name, both are spelt right (Lena, Lina). Long ones are rather
    # one name in two languages (Katarina, Katharina).
    groups, others = NAMES.get(one[0]), NAMES.get(other[0])
    return groups is None or others is None or not groups.isdisjoint(others)


def _is_slip(one: str, other: str) -> bool:
    """Different names of which one may be the other, mistyped: the shorter they are, the less it takes to be another.

    1 edit, from 4 letters on: any; but the first letter from 6 letters on only. Of 3 letters: one letter too many or
    too few, or two in the wrong order, not the first. 2 edits: from 5 letters on, the first letter equal.
    """
    distance, shortest = OSA.distance(one, other), min(len(one), len(other))
    same_start = one[0] == other[0]
    if distance == 1 and shortest == 3:
        return same_start and (len(one) != len(other) or sorted(one) == sorted(other))
    if distance == 1:
        return shortest >= (4 if same_start else 6)
    return distance == 2 and shortest >= 5 and same_start
