"""A token that is rotated."""

from __future__ import annotations

import pathlib

from fetchd import Client

from conftest import Origin, start_service


def test_a_rotated_token_applies_to_the_next_call(tmp_path: pathlib.Path, origin: Origin) -> None:
    (tmp_path / "tokens").write_text("mine right-token-0123456789\n")
    token = tmp_path / "token"
    token.write_text("wrong\n")
    process, address = start_service("--auth-token-file", str(tmp_path / "tokens"))
    try:
        with Client(address, token_file=token) as client:
            [refused] = client.fetch_all([origin.url])
            assert refused.error is not None and refused.error.code == "UNAUTHENTICATED"
            token.write_text("right-token-0123456789\n")
            assert client.fetch_all([origin.url])[0].ok
            # A file that is being replaced may be empty for a moment.
            token.write_text("")
            assert client.fetch_all([origin.url])[0].ok
    finally:
        process.kill()
        process.wait()
