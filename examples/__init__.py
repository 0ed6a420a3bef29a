"""Functions of one item to measure: `make report CLIENTS=examples.sqlite_query:count`."""
