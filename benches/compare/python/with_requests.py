"""Fetches with requests, in threads that have a session each."""

import threading
import time

import requests

from jobs import Times, serve


def fetch_all(job):
    times, lock = Times(), threading.Lock()
    kept = []
    remaining = iter(range(job["count"]))

    def work():
        with requests.Session() as session:
            # Threads can share the iterator, because the interpreter's lock covers `next`.
            for _ in remaining:
                started = time.perf_counter()
                response = session.get(job["url"])
                response.raise_for_status()
                with lock:
                    times.record(time.perf_counter() - started, len(response.content))
                if job["mode"] == "collect":
                    kept.append(response)

    threads = [threading.Thread(target=work) for _ in range(job["concurrency"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times.result()


serve(fetch_all)
