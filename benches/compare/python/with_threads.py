"""Fetches with http.client, in threads that take their requests from a queue."""

import http.client
import queue
import threading
import time
import urllib.parse

from jobs import Times, serve


def fetch_all(job):
    url = urllib.parse.urlsplit(job["url"])
    path = url.path + ("?" + url.query if url.query else "")
    work = queue.Queue()
    for _ in range(job["count"]):
        work.put(path)
    times, lock = Times(), threading.Lock()

    def fetch():
        connection = http.client.HTTPConnection(url.netloc)
        while True:
            try:
                path = work.get_nowait()
            except queue.Empty:
                return
            started = time.perf_counter()
            connection.request("GET", path)
            body = connection.getresponse().read()
            with lock:
                times.record(time.perf_counter() - started, len(body))

    threads = [threading.Thread(target=fetch) for _ in range(job["concurrency"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times.result()


serve(fetch_all)
