"""Starts the service."""

import collections
import json
import subprocess
import threading


def start_service(command, listen="127.0.0.1:0", **options):
    """Starts the service, and returns its process and its address."""
    service = subprocess.Popen(
        command
        + ["--listen", listen, "--admin-listen", "off"]
        + ["--allow-net", "127.0.0.0/8", "--log-format", "json"],
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    for line in service.stderr:
        address = json.loads(line).get("address")
        if address:
            break
    else:
        raise AssertionError("the service exited before it logged its address")
    # A full pipe would stop the service.
    threading.Thread(target=collections.deque, args=(service.stderr, 0), daemon=True).start()
    return service, address
