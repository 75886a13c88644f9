"""The one normalisation: what it folds, what it keeps, and what it promises for every text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o365_etl.normalise import digits, domain_of, is_public_mail_domain, normalise, person_key, without_legal_form


@given(st.text())
def test_normalise_is_idempotent(text: str) -> None:
    """Normalised text normalises to itself, so keys may be normalised any number of times."""
    assert normalise(normalise(text)) == normalise(text)


def test_every_character_is_idempotent() -> None:
    """No single character of Unicode escapes, whatever folding and composing do to each other."""
    odd = [chr(code) for code in range(0x110000) if normalise(normalise(chr(code))) != normalise(chr(code))]
    assert odd == []


@given(st.text(), st.sampled_from([" ", "\t", "\u00a0", "\u3000", "\n"]))
def test_case_and_outer_blanks_do_not_count(text: str, blank: str) -> None:
    """A name typed in capitals or with stray blanks is the same name."""
    assert normalise(blank + text + blank) == normalise(text)
    assert normalise(text.casefold()) == normalise(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Contoso\u00a0 AG ", "contoso ag"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("Ｆｕｌｌ", "full"),
        ("e\u0301te\u0301", "été"),
        ("Zoé", "zoé"),
        ("آنا", "آنا"),
        ("<B>x</B>", "<b>x</b>"),
        ("", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    """Compatibility forms, case and blanks are folded, diacritics and everything else stay."""
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Contoso Ltd", "contoso"),
        ("Contoso, Inc.", "contoso"),
        ("Müller GmbH & Co. KG", "müller"),
        ("S.A.R.L. Dupont", "dupont"),
        ("Dupont S. A. R. L.", "dupont"),
        ("Foo Sp. z o.o.", "foo"),
        ("株式会社 東芝", "東芝"),
        ("ООО Ромашка", "ромашка"),
        ("AG", "ag"),
        ("Coop", "coop"),
        ("LLC Company", "llc"),
        ("GmbH & Co. KG", "gmbh"),
        ("...", "..."),
        ("", ""),
    ],
)
def test_without_legal_form(name: str, expected: str) -> None:
    """Legal forms go from both ends, and a name that is nothing else keeps something."""
    assert without_legal_form(name) == expected


@given(st.text())
def test_without_legal_form_never_empties_a_name(name: str) -> None:
    """What is a name stays one."""
    assert bool(without_legal_form(name)) == bool(normalise(name))


def test_person_key_needs_both_names() -> None:
    """One name is no full name."""
    assert person_key(" Anna ", "BERG") == "anna berg"
    assert person_key("Anna", None) is None
    assert person_key(" ", "Berg") is None


def test_digits() -> None:
    """Only ASCII digits of a number count."""
    assert digits("+1 (415) 555-2156 x12") == "141555521561" + "2"
    assert digits("none") == ""


@pytest.mark.parametrize(
    ("address", "domain"), [("A@X.Example", "x.example"), ("a@b@c.ex", "c.ex"), ("nobody", None), ("a@", None)]
)
def test_domain_of(address: str, domain: str | None) -> None:
    """What stands after the last @."""
    assert domain_of(address) == domain


def test_public_mail_domains() -> None:
    """Providers anybody can use and Microsoft's own tenant domains, but not what merely ends alike."""
    assert is_public_mail_domain("GMAIL.com")
    assert is_public_mail_domain("contoso.onmicrosoft.com")
    assert not is_public_mail_domain("contoso.com")
    assert not is_public_mail_domain("notgmail.com")


@given(st.text("aB \t\x1cé"), st.text("aB \t\x1cé"))
def test_a_person_is_both_names(first: str, last: str) -> None:
    """Also where both are folded at once; a name of nothing but blanks is none."""
    parts = normalise(first), normalise(last)
    assert person_key(first, last) == (" ".join(parts) if all(parts) else None)
