"""Fetches with http.client from threads that take their work from a queue."""

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
            begun = time.perf_counter()
            connection.request("GET", path)
            body = connection.getresponse().read()
            with lock:
                times.note(time.perf_counter() - begun, len(body))

    threads = [threading.Thread(target=fetch) for _ in range(job["concurrency"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times.answer()


serve(fetch_all)
