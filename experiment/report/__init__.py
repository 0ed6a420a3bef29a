"""Present the results: sentences, tables, figures, widgets, pages."""
