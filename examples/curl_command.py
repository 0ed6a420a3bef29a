"""Fetch each item, a URL, with a curl command."""

import subprocess


def fetch(url: str) -> bytes:
    """Return the page; raise CalledProcessError where curl fails."""
    command = ["curl", "--silent", "--show-error", "--fail", "--location", "--", url]
    return subprocess.run(command, check=True, capture_output=True).stdout
