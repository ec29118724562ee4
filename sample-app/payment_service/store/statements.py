"""SQL statements with what a trace says about them."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Statement:
    """A parameterised statement.

    Attributes:
        operation: ``db.operation.name``.
        collection: ``db.collection.name``: the table that it is about; empty for none.
        sql: Its text; white space is normalised, so that traces, logs and statistics show one line.
    """

    operation: str
    collection: str = ""
    sql: str
    summary: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sql", " ".join(self.sql.split()))
        object.__setattr__(self, "summary", f"{self.operation} {self.collection}".rstrip())


COMMIT = Statement(operation="COMMIT", sql="COMMIT")
ROLLBACK = Statement(operation="ROLLBACK", sql="ROLLBACK")
