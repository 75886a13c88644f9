"""Writing IT Glue's flexible assets: traits checked by the fields of their type."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping

from o365_etl.simulator.itglue_body import Item, number, snake
from o365_etl.simulator.itglue_errors import Problems
from o365_etl.simulator.itglue_model import SimFlexibleAsset, SimFlexibleAssetField
from o365_etl.simulator.itglue_values import BLANK, LONGEST, existing_organization, text_problem
from o365_etl.simulator.itglue_writer import Writer

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class AssetWriter(Writer[SimFlexibleAsset]):
    """Writes flexible assets."""

    def find(self, identity: int) -> SimFlexibleAsset | None:
        """See `Writer`."""
        return self.view.assets.get(identity)

    def make(self, item: Item, parent_id: int | None, problems: Problems) -> SimFlexibleAsset:
        """See `Writer`."""
        given = item.attributes
        if parent_id is None:
            parent_id = existing_organization(given.get("organization_id"), self.view.organizations, problems)
        draft = SimFlexibleAsset(parent_id, number(given.get("flexible_asset_type_id")) or 0, "")
        if draft.type_id not in self.view.types:
            problems.add("flexible_asset_type_id", "must exist")
        else:
            self._take_traits(draft, given.get("traits", {}), problems)
        return draft

    def fill(self, draft: SimFlexibleAsset, item: Item, problems: Problems) -> None:
        """See `Writer`. Traits that are not named are gone, as in reality."""
        given = item.attributes
        if "organization_id" in given:
            draft.organization_id = existing_organization(given["organization_id"], self.view.organizations, problems)
        if "flexible_asset_type_id" in given and number(given["flexible_asset_type_id"]) != draft.type_id:
            problems.add("flexible_asset_type_id", "cannot be changed")
        if "traits" in given:
            self._take_traits(draft, given["traits"], problems)

    def add(self, record: SimFlexibleAsset) -> None:
        """See `Writer`."""
        self.estate.add_itglue("flexible_assets", record)

    def _take_traits(self, draft: SimFlexibleAsset, sent: object, problems: Problems) -> None:
        kind = self.view.types.get(draft.type_id)
        if not isinstance(sent, Mapping) or kind is None:
            problems.add("traits", "is not an object")
            return
        fields = {snake(each.name_key): each for each in kind.fields if each.kind != "Header"}
        traits: dict[str, object] = {}
        for key, value in sent.items():
            field = fields.get(snake(key))
            if field is None:
                problems.add("traits", f"{key} is not a field of {kind.name}")
            elif value is not None:
                traits[field.name_key] = self._value(draft, field, value, problems)
        for field in fields.values():
            if (field.required or field.use_for_title) and traits.get(field.name_key) in (None, "", []):
                problems.add("traits", f"{field.name_key} {BLANK}", pointer=f"/data/attributes/traits/{field.name_key}")
        draft.traits = traits
        titles = [each for each in sorted(fields.values(), key=lambda each: each.order) if each.use_for_title]
        if titles:
            draft.name = " ".join(filter(None, (self._title(draft, field, traits) for field in titles)))

    def _value(
        self, draft: SimFlexibleAsset, field: SimFlexibleAssetField, value: object, problems: Problems
    ) -> object:
        """The value of a trait as it is stored; whatever is wrong with it is added to the problems."""
        problem = None
        if field.kind == "Tag":
            ids = [number(each) for each in value] if isinstance(value, list) else [None]
            known = self.view.tagged(field.tag_type or "", [each for each in ids if each], draft.organization_id)
            if all(each in known for each in ids):
                return list(dict.fromkeys(ids))
            problem = "is not a list of existing ids"
        elif field.kind in ("Number", "Percent"):
            problem = None if isinstance(value, int | float) and not isinstance(value, bool) else "is not a number"
        elif field.kind == "Date":
            problem = None if _is_date(value) else "is not a date (yyyy-mm-dd)"
        elif field.kind == "Checkbox":
            problem = None if isinstance(value, bool) else "is not true or false"
        elif field.kind == "Select":
            problem = _select_problem(field, value)
        else:
            problem = text_problem(value, LONGEST if field.kind == "Text" else None)
        if problem is not None:
            problems.add("traits", f"{field.name_key} {problem}", pointer=f"/data/attributes/traits/{field.name_key}")
        return value

    def _title(self, draft: SimFlexibleAsset, field: SimFlexibleAssetField, traits: Mapping[str, object]) -> str:
        value = traits.get(field.name_key)
        if isinstance(value, list):
            named = self.view.tagged(field.tag_type or "", [each for each in value if each], draft.organization_id)
            return " ".join(named.values())
        return "" if value is None else str(value)


def _is_date(value: object) -> bool:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return False
    try:
        dt.date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _select_problem(field: SimFlexibleAssetField, value: object) -> str | None:
    """A field may list its choices, one a line."""
    choices = [line.strip() for line in (field.default_value or "").splitlines() if line.strip()]
    return "is not one of the choices" if choices and value not in choices else text_problem(value)
