"""What is wrong with a query, where, and what was expected there (mediarithmics 7.5)."""

from typing import Any, Literal

from engine.errors import CallerError

Fault = Literal["PARSING", "TYPINGS", "FIELD", "DIRECTIVE"]
"""Of what kind a fault is: the text or JSON itself, a value or operator that does not fit, a name, a directive."""


class QueryError(CallerError):
    """A query that cannot be read, or that asks for something the schema does not have.

    Args:
        message: what is wrong and what was expected, without its place.
        row, col: place in the text, both from 1; 0 and 0 where the query is no text.
        kind: which of the `Fault`s.
        path: of the query in what the caller sent; for JSON_OTQL, of the faulty node in it.
    """

    code = "bad_query"

    def __init__(self, message: str, *, row: int = 0, col: int = 0, kind: Fault = "PARSING", path: str = "") -> None:
        placed = f"row {row}, column {col}: {message}" if row else message
        super().__init__(placed, code="bad_query", path=path)
        self.row = row
        self.col = col
        self.kind = kind
        self.reason = message

    @property
    def type(self) -> Literal["PARSING_ERROR", "VALIDATION_ERROR"]:
        """Whether it cannot be read, or can be read but not be asked."""
        return "PARSING_ERROR" if self.kind == "PARSING" else "VALIDATION_ERROR"

    def as_json(self) -> dict[str, Any]:
        """As the platform reports it."""
        position = {"row": self.row, "col": self.col}
        return {
            "type": self.type,
            "error": {"message": self.reason, "position": position, "error_type": self.kind},
        }
