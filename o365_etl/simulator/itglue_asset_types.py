"""Writing IT Glue's flexible asset types and their fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from o365_etl.simulator.itglue_body import Item, item, number
from o365_etl.simulator.itglue_errors import ApiError, GatewayError, Problems
from o365_etl.simulator.itglue_model import SimFlexibleAssetField, SimFlexibleAssetType, name_key
from o365_etl.simulator.itglue_places import TAKEN
from o365_etl.simulator.itglue_records import ASSET_TAG
from o365_etl.simulator.itglue_values import BLANK, LONGEST, required, take_flags, take_texts
from o365_etl.simulator.itglue_writer import Writer, unique

KINDS = frozenset(
    {
        "Checkbox",
        "Header",
        "Date",
        "Number",
        "Select",
        "Text",
        "Textbox",
        "Upload",
        "Tag",
        "Percent",
        "Password",
    }
)
TAG_TYPES = frozenset(
    {
        "AccountsUsers",
        "Checklists",
        "ChecklistTemplates",
        "Contacts",
        "Configurations",
        "Documents",
        "Domains",
        "Passwords",
        "Locations",
        "Organizations",
        "SslCertificates",
        "Tickets",
    }
)
_FIELDS = "flexible_asset_fields"
_TYPE_TEXTS = {"name": LONGEST, "icon": LONGEST, "description": None}
_FIELD_TEXTS = {"name": LONGEST, "hint": None, "default_value": None}
_FIELD_FLAGS = ("required", "use_for_title", "expiration", "show_in_list")


class TypeWriter(Writer[SimFlexibleAssetType]):
    """Writes flexible asset types."""

    def find(self, identity: int) -> SimFlexibleAssetType | None:
        """See `Writer`."""
        return next((each for each in self.estate.flexible_asset_types if each.type_id == identity), None)

    def make(self, item: Item, parent_id: int | None, problems: Problems) -> SimFlexibleAssetType:
        """See `Writer`. Raises `ApiError` where IT Glue breaks: fields among the attributes."""
        if _FIELDS in item.attributes:
            raise ApiError(500, "Internal Server Error", "An unexpected error has occurred.")
        draft = SimFlexibleAssetType("")
        _take_type(draft, item.attributes, problems)
        draft.fields = [_new_field(each, 0, problems) for each in _field_items(item)]
        _judge_fields(draft.fields, problems)
        return draft

    def fill(self, draft: SimFlexibleAssetType, item: Item, problems: Problems) -> None:
        """See `Writer`. Raises `GatewayError`: a type's fields are not changed here."""
        if item.relationships:
            raise GatewayError(403, "Forbidden")
        _take_type(draft, item.attributes, problems)

    def judge(self, drafts: Sequence[SimFlexibleAssetType], problems: Problems) -> None:
        """Names are unique in the account."""
        unique(
            drafts,
            self.estate.flexible_asset_types,
            lambda each: each.type_id,
            lambda each: (each.name or "").lower(),
            lambda _: problems.add("name", TAKEN),
        )

    def add(self, record: SimFlexibleAssetType) -> None:
        """See `Writer`."""
        for each in record.fields:
            each.created_at = each.updated_at = record.created_at
        self.estate.add_itglue("flexible_asset_types", record)
        self.estate.number_fields()


class FieldWriter(Writer[SimFlexibleAssetField]):
    """Writes fields of flexible asset types that exist."""

    def find(self, identity: int) -> SimFlexibleAssetField | None:
        """See `Writer`."""
        fields = (each for owner in self.estate.flexible_asset_types for each in owner.fields)
        return next((each for each in fields if each.field_id == identity), None)

    def make(self, item: Item, parent_id: int | None, problems: Problems) -> SimFlexibleAssetField:
        """See `Writer`."""
        type_id = parent_id or number(item.attributes.get("flexible_asset_type_id")) or 0
        if self._type(type_id) is None:
            problems.add("flexible_asset_type_id", "must exist")
        return _new_field(item, type_id, problems)

    def fill(self, draft: SimFlexibleAssetField, item: Item, problems: Problems) -> None:
        """See `Writer`."""
        before = draft.kind
        _take_field(draft, item.attributes, problems)
        in_use = any(
            asset.type_id == draft.type_id and draft.name_key in asset.traits for asset in self.estate.flexible_assets
        )
        if in_use and draft.kind != before:
            problems.add("kind", "cannot be changed while the field is in use")

    def judge(self, drafts: Sequence[SimFlexibleAssetField], problems: Problems) -> None:
        """A type and its fields have to fit together afterwards as well."""
        changed = {each.field_id: each for each in drafts}
        for type_id in {each.type_id for each in drafts}:
            kind = self._type(type_id)
            stored = [changed.get(each.field_id, each) for each in kind.fields] if kind else []
            _judge_fields(stored + [each for each in drafts if not each.field_id and each.type_id == type_id], problems)

    def add(self, record: SimFlexibleAssetField) -> None:
        """See `Writer`."""
        kind = self._type(record.type_id)
        if kind is not None:
            kind.fields.append(record)
        self.estate.number_fields()

    def _type(self, type_id: int) -> SimFlexibleAssetType | None:
        return next((each for each in self.estate.flexible_asset_types if each.type_id == type_id), None)


def _take_type(draft: SimFlexibleAssetType, given: Mapping[str, object], problems: Problems) -> None:
    take_texts(draft, given, _TYPE_TEXTS, problems)
    take_flags(draft, given, ("enabled", "show_in_menu"), problems)
    required(draft.name, "name", problems)


def _field_items(sent: Item) -> list[Item]:
    """The fields that stand under the relationships of a new type."""
    relation = sent.relationships.get(_FIELDS)
    rows = relation.get("data") if isinstance(relation, dict) else None
    return [item(row, _FIELDS) for row in rows] if isinstance(rows, list) else []


def _new_field(item: Item, type_id: int, problems: Problems) -> SimFlexibleAssetField:
    draft = SimFlexibleAssetField("", kind="", type_id=type_id)
    _take_field(draft, item.attributes, problems)
    if "kind" not in item.attributes:
        problems.add("kind", BLANK)
    draft.name_key = name_key(draft.name)
    return draft


def _take_field(draft: SimFlexibleAssetField, given: Mapping[str, object], problems: Problems) -> None:
    take_texts(draft, given, _FIELD_TEXTS, problems)
    take_flags(draft, given, _FIELD_FLAGS, problems)
    required(draft.name, "name", problems)
    for name in ("order", "decimals"):
        if given.get(name) is not None:
            value = number(given[name])
            if value is None:
                problems.add(name, "is not a number")
            else:
                setattr(draft, name, value)
    if "kind" in given:
        kind = given["kind"]
        if kind in KINDS:
            draft.kind = str(kind)
        else:
            problems.add("kind", "is not included in the list")
    if "tag_type" in given:
        draft.tag_type = None if given["tag_type"] is None else str(given["tag_type"])
    if draft.kind == "Tag" and not _is_tag_type(draft.tag_type):
        problems.add("tag_type", "is not included in the list")


def _is_tag_type(tag_type: str | None) -> bool:
    return tag_type is not None and (tag_type in TAG_TYPES or tag_type.startswith(ASSET_TAG))


def _judge_fields(fields: Sequence[SimFlexibleAssetField], problems: Problems) -> None:
    names = [(each.name or "").strip().lower() for each in fields]
    orders = [each.order for each in fields if each.order]
    if len(set(names)) < len(names):
        problems.add("name", TAKEN)
    if len(set(orders)) < len(orders):
        problems.add("order", TAKEN)
    if not any(each.show_in_list for each in fields):
        problems.add("flexible_asset_fields", "at least one field has to be shown in the list")
