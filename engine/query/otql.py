"""OTQL, read: tokens → tree, by recursive descent (mediarithmics 7.5).

    query      = SELECT operation FROM name [WHERE or] [LIMIT n]  |  [WHERE] or
    operation  = {directive} ["{" {selection} "}"]
    selection  = name {directive} ["{" {selection} "}"]
    directive  = "@" name ["(" [argument {"," argument}] ")"]       argument = name ":" value
    or         = and {OR and}            and = not {AND not}            not = {NOT} primary
    primary    = "(" [or] ")"  |  name {directive} "{" [or] "}"  |  name comparison  |  is_null(name) …
    comparison = operator (value | "[" value {"," value} "]")  |  [NOT] IN list  |  IS [NOT] NULL

Keywords ignore case. Total: any text gives a tree or a `QueryError`; depth and size are bounded, see `limits`.
"""

from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

from engine.query.ast import (
    Argument,
    BooleanOperator,
    Compare,
    Directive,
    Exists,
    Expression,
    Group,
    Object,
    Operation,
    Operator,
    Place,
    Query,
    Selection,
    Value,
)
from engine.query.errors import Fault, QueryError
from engine.query.lexer import Sort, Token, tokens_of
from engine.query.limits import MAX_DEPTH, MAX_NODES, MAX_VALUES
from engine.query.scoring import score_of

T = TypeVar("T")

RESERVED: Final = frozenset({"SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "LIMIT", "IN", "IS"})
"""Words that are no names in an expression, unless in back quotes."""

MARKS: Final = {operator.value: operator for operator in Operator if not operator.value[0].isalpha()}
WORDS: Final = {
    **{operator.value: operator for operator in Operator if operator.value[0].isalpha()},
    "MATCH": Operator.MATCHES,
    "BEFORE": Operator.LT,
    "BEFORE_OR_EQUAL": Operator.LTE,
    "AFTER": Operator.GT,
    "AFTER_OR_EQUAL": Operator.GTE,
}
NEGATABLE: Final = {
    "MATCHES": Operator.NOT_MATCHES,
    "MATCH": Operator.NOT_MATCHES,
    "STARTS_WITH": Operator.NOT_STARTS_WITH,
    "CONTAINS": Operator.NOT_CONTAINS,
}
EXISTENCE: Final = {
    "IS_NULL": False,
    "IS_NOT_NULL": True,
    "IS_DEFINED": True,
    "IS_NOT_DEFINED": False,
    "EXISTS": True,
    "DOES_NOT_EXIST": False,
}
COMPARISONS: Final = "a comparison (=, !=, <, <=, >, >=, IN, MATCHES, STARTS_WITH, CONTAINS, IS NULL) or `{`"


def parse(text: str, path: str = "") -> Query:
    """Read a query, or an expression alone.

    Args:
        text: OTQL.
        path: of the query in what the caller sent, for errors.

    Raises:
        QueryError: of kind PARSING, or DIRECTIVE where a score directive is wrong.
    """
    return _Parser(tokens_of(text, path), path).query()


class _Parser:
    def __init__(self, tokens: list[Token], path: str) -> None:
        self._tokens = tokens
        self._path = path
        self._place = 0
        self._depth = 0
        self._nodes = 0

    # -- tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    def _take(self) -> Token:
        token = self._tokens[self._place]
        if token.sort is not Sort.END:
            self._place += 1
        return token

    def _fail(self, message: str, token: Token | None = None, kind: Fault = "PARSING") -> NoReturn:
        at = (token or self._next).at
        raise QueryError(message, row=at.row, col=at.col, kind=kind, path=self._path)

    def _expected(self, what: str) -> NoReturn:
        self._fail(f"expected {what}, found {self._next}")

    def _is_mark(self, mark: str) -> bool:
        token = self._next
        return token.sort is Sort.MARK and token.text == mark

    def _takes_mark(self, mark: str) -> bool:
        if self._is_mark(mark):
            self._place += 1
            return True
        return False

    def _need_mark(self, mark: str, what: str = "") -> None:
        if not self._takes_mark(mark):
            self._expected(what or f"`{mark}`")

    def _word(self, ahead: int = 0) -> str:
        """The next token in capitals when it may be a keyword, else ""."""
        token = self._tokens[min(self._place + ahead, len(self._tokens) - 1)]
        return token.text.upper() if token.sort is Sort.NAME and not token.quoted else ""

    def _takes_word(self, word: str) -> bool:
        if self._word() == word:
            self._place += 1
            return True
        return False

    def _name(self, what: str) -> Token:
        if self._next.sort is not Sort.NAME:
            self._expected(what)
        return self._take()

    # -- query and operation

    def query(self) -> Query:
        at = self._next.at
        if self._word() != "SELECT":
            self._takes_word("WHERE")
            where = None if self._next.sort is Sort.END else self._expression()
            if self._next.sort is not Sort.END:
                self._expected("AND, OR or the end of the query")
            return Query(where=where, at=at)
        self._take()
        operation = self._operation()
        if not self._takes_word("FROM"):
            self._expected("FROM")
        root = self._name("an object type such as UserActivity").text
        where = self._expression() if self._takes_word("WHERE") else None
        limit = self._limit() if self._takes_word("LIMIT") else None
        if self._next.sort is not Sort.END:
            self._expected(
                "AND, OR, LIMIT or the end of the query" if where else "WHERE, LIMIT or the end of the query"
            )
        return Query(root=root, operation=operation, where=where, limit=limit, at=at)

    def _limit(self) -> int:
        token = self._take()
        if token.sort is not Sort.NUMBER or not isinstance(token.value, int) or token.value < 0:
            self._fail(f"expected a whole number behind LIMIT, found {token}", token)
        return token.value

    def _operation(self) -> Operation:
        at = self._next.at
        directives = self._directives()
        if not self._is_mark("{"):
            self._expected("`{` or a directive such as @count" if not directives else "`{` or another directive")
        return Operation(directives, self._selections(), at)

    def _selections(self) -> tuple[Selection, ...]:
        self._need_mark("{")
        return self._deeper(self._selections_inside)

    def _selections_inside(self) -> tuple[Selection, ...]:
        found: list[Selection] = []
        while not self._takes_mark("}"):
            name = self._name("a field to select, or `}`")
            directives = self._directives()
            inner = self._selections() if self._is_mark("{") else ()
            self._count()
            found.append(Selection(name.text, directives, inner, name.at))
            self._takes_mark(",")
        return tuple(found)

    def _directives(self) -> tuple[Directive, ...]:
        found: list[Directive] = []
        while self._takes_mark("@"):
            name = self._name("the name of a directive")
            self._count()
            found.append(Directive(name.text, self._arguments() if self._takes_mark("(") else (), name.at))
        return tuple(found)

    def _arguments(self) -> tuple[Argument, ...]:
        found: list[Argument] = []
        while not self._takes_mark(")"):
            name = self._name("the name of an argument, or `)`")
            self._need_mark(":")
            self._count()
            found.append(Argument(name.text, self._value()))
            if not self._is_mark(")"):
                self._need_mark(",", "`,` or `)`")
        return tuple(found)

    # -- expressions

    def _expression(self) -> Expression:
        at = self._next.at
        operator, found = self._deeper(self._joined)
        return found[0] if len(found) == 1 else Group(operator, found, at=at)

    def _joined(self) -> tuple[BooleanOperator, tuple[Expression, ...]]:
        """What OR joins, or where there is none, what AND joins: at least one expression."""
        at = self._next.at
        first = self._all()
        if self._word() != "OR":
            return "AND", first
        found = [_one(first, at)]
        while self._takes_word("OR"):
            at = self._next.at
            found.append(_one(self._all(), at))
        return "OR", tuple(found)

    def _all(self) -> tuple[Expression, ...]:
        found = [self._not()]
        while self._takes_word("AND"):
            found.append(self._not())
        return tuple(found)

    def _not(self) -> Expression:
        at = self._next.at
        if not self._takes_word("NOT"):
            return self._primary()
        inner = self._deeper(self._not)
        if isinstance(inner, Object) and not inner.negation:
            return Object(inner.field, inner.operator, inner.expressions, True, inner.score, inner.at)
        if isinstance(inner, Group) and not inner.negation:
            return Group(inner.operator, inner.expressions, True, inner.at)
        return Group("AND", (inner,), True, at)

    def _primary(self) -> Expression:
        self._count()
        token = self._next
        if self._takes_mark("("):
            return Group(*self._inside(")"), at=token.at)
        if token.sort is not Sort.NAME or self._word() in RESERVED:
            self._expected("a field, NOT or `(`")
        self._take()
        if not token.quoted and token.text.upper() in EXISTENCE and self._is_mark("("):
            return self._existence(token)
        if self._is_mark("@") or self._is_mark("{"):
            score = score_of(self._directives(), self._path)
            self._need_mark("{")
            operator, expressions = self._inside("}")
            return Object(token.text, operator, expressions, score=score, at=token.at)
        return self._comparison(token)

    def _inside(self, end: str) -> tuple[BooleanOperator, tuple[Expression, ...]]:
        if self._takes_mark(end):
            return "AND", ()
        found = self._deeper(self._joined)
        self._need_mark(end, f"AND, OR or `{end}`")
        return found

    def _existence(self, function: Token) -> Exists:
        self._need_mark("(")
        field = self._name("a field")
        self._need_mark(")")
        return Exists(field.text, EXISTENCE[function.text.upper()], field.at)

    def _comparison(self, field: Token) -> Expression:
        token = self._next
        if token.sort is Sort.MARK and token.text in MARKS:
            self._take()
            return Compare(field.text, MARKS[token.text], self._values(), at=field.at)
        word = self._word()
        if word in EXISTENCE:
            self._take()
            return Exists(field.text, EXISTENCE[word], field.at)
        if word == "IS":
            self._take()
            exists = self._takes_word("NOT")
            if not self._takes_word("NULL"):
                self._expected("NULL" if exists else "NULL or NOT NULL")
            return Exists(field.text, exists, field.at)
        if word == "IN":
            self._take()
            return Compare(field.text, Operator.EQ, self._list(), at=field.at)
        if word in WORDS:
            self._take()
            return Compare(field.text, WORDS[word], self._values(), at=field.at)
        if word == "NOT":
            return self._negated(field)
        self._expected(COMPARISONS)

    def _negated(self, field: Token) -> Compare:
        self._take()
        word = self._word()
        if word == "IN":
            self._take()
            return Compare(field.text, Operator.NE, self._list(), at=field.at)
        if word in NEGATABLE:
            self._take()
            return Compare(field.text, NEGATABLE[word], self._values(), at=field.at)
        self._expected("IN, MATCHES, STARTS_WITH or CONTAINS")

    # -- values

    def _values(self) -> tuple[Value, ...]:
        return self._list() if self._is_mark("[") or self._is_mark("(") else (self._value(),)

    def _list(self) -> tuple[Value, ...]:
        if self._takes_mark("["):
            end = "]"
        else:
            self._need_mark("(", "`[` or `(`")
            end = ")"
        found = [self._value()]
        while self._takes_mark(","):
            if len(found) >= MAX_VALUES:
                self._fail(f"more than {MAX_VALUES} values")
            found.append(self._value())
        self._need_mark(end, f"`,` or `{end}`")
        return tuple(found)

    def _value(self) -> Value:
        token = self._next
        if token.sort in (Sort.TEXT, Sort.NUMBER):
            return self._take().value
        if (word := self._word()) in ("TRUE", "FALSE"):
            self._take()
            return word == "TRUE"
        self._expected('a value: "text", a number, true or false')

    # -- bounds

    def _deeper(self, read: Callable[[], T]) -> T:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"expressions are nested deeper than {MAX_DEPTH}")
        found = read()
        self._depth -= 1
        return found

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._fail(f"more than {MAX_NODES} expressions")


def _one(expressions: tuple[Expression, ...], at: Place) -> Expression:
    return expressions[0] if len(expressions) == 1 else Group("AND", expressions, at=at)
