"""Query a SQLite database for each item, a number of rows."""

import sqlite3

QUERY = """
with recursive numbers(n) as (values(1) union all select n + 1 from numbers where n < ?)
select sum(n * n % 7) from numbers
"""


def total(rows: str) -> str:
    """Return a sum over so many rows; SQLite runs a query without the GIL."""
    with sqlite3.connect(":memory:") as database:
        return str(database.execute(QUERY, (int(rows),)).fetchone()[0])
