"""Names that a datamart adds to the schema of its queries (mediarithmics 7.6)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

ObjectTypeName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
FieldName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[A-Za-z_$][A-Za-z0-9_$]*$")]
FieldPath = Annotated[str, Meta(min_length=1, max_length=255)]


class SchemaField(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name for a field, such as `color` for `$properties.color` of a `UserEvent`.

    Attributes:
        object_type: whose field it is, `UserEvent` or another type of the schema.
        name: how queries call it.
        paths: where it is, from the object down, keys joined by dots; of several, the first that has a value.
        type: of its values.
    """

    object_type: ObjectTypeName
    name: FieldName
    paths: Annotated[tuple[FieldPath, ...], Meta(min_length=1, max_length=16)]
    type: Literal["ID", "STRING", "NUMBER", "TIME", "BOOLEAN", "ENUM", "ANY"] = "STRING"


class SchemaLink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name for objects within objects, such as `basket` for `$properties.basket` of a `UserEvent`.

    Attributes:
        object_type, name, path: as of a field.
        to: the type of the objects; one that the schema does not have begins as a type of custom fields only.
    """

    object_type: ObjectTypeName
    name: FieldName
    path: FieldPath
    to: ObjectTypeName = "Anything"


class SchemaMapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is added to the default schema. A name that it has already gets the new meaning."""

    fields: tuple[SchemaField, ...] = field(default=(), name="field")
    links: tuple[SchemaLink, ...] = field(default=(), name="link")
