"""The clients that fetch pages, one file each."""
