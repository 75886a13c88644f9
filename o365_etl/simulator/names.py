"""Names to make people, tenants and places of."""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    """The blank-separated words of a text: lists of words are easier to read so."""
    return tuple(text.split())


GIVEN_NAMES = words(
    "Anna Bruno Carla David Elena Felix Greta Henry Ingrid Jonas Karin Liam Maria Nadia Oscar Paula Quentin Rosa "
    "Stefan Tara Ulrich Vera William Xenia Yusuf Zoe Amir Beatrice Connor Daphne Emil Fiona Gustav Hanna Isaac Julia "
    "Kenji Laura Marco Nora"
)
SURNAMES = words(
    "Adams Berg Castillo Dahl Eriksen Fischer Garcia Hansen Ivanov Jensen Keller Lindqvist Moreau Novak Ortega Petrov "
    "Quinn Rossi Schmidt Tanaka Ueda Vargas Weber Xu Young Zimmermann Bauer Costa Dubois Edwards Fontaine Gruber Holm "
    "Iversen Janssen Kowalski Larsen Meyer Nielsen Olsen Peters Ramirez Santos Thomsen Urban Vogel Wagner Wood "
    "Bakker Kim"
)
TITLES = (
    *words("Accountant Architect Buyer Clerk Controller Designer Driver Engineer Foreman Lawyer Nurse Receptionist"),
    *("Chief Executive", "Office Manager", "Sales Manager", "Technician", "Teacher", "Warehouse Lead"),
)
DEPARTMENTS = ("Finance", "Sales", "Operations", "Engineering", "Administration", "Logistics", "Service")
TOWNS = ("Seattle", "Tacoma", "Spokane", "Everett", "Olympia", "Bellevue", "Kent", "Renton", "Yakima", "Redmond")
_FIRST = words(
    "Alpine Amber Arctic Aspen Beacon Birch Cedar Cobalt Copper Coral Crescent Delta Eagle Ember Falcon Fern Granite "
    "Harbor Hazel Indigo Ivory Juniper Lakeside Laurel Maple Meadow Northern Oak Orchard Pacific Pine Quarry River "
    "Saffron Silver Summit Timber Union Valley Willow"
)
_SECOND = words(
    "Accounting Analytics Apparel Bakery Builders Catering Clinics Coffee Consulting Dental Design Electric Farms "
    "Fitness Foods Freight Furniture Gardens Glass Health Holdings Imaging Insurance Interiors Labs Legal Logistics "
    "Marine Media Motors Optics Outfitters Packaging Partners Pharmacy Plumbing Print Properties Robotics Schools "
    "Security Software Stone Studios Supply Systems Textiles Tools Trading Travel"
)


def tenant_name(index: int) -> str:
    """A name that no other index has."""
    series, place = divmod(index, len(_FIRST) * len(_SECOND))
    second, first = divmod(place, len(_FIRST))
    name = f"{_FIRST[first]} {_SECOND[(second + first) % len(_SECOND)]}"
    return f"{name} {series + 1}" if series else name
