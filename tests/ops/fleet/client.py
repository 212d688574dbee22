"""Checked load from keep-alive clients; prints what became of every request when its input ends.

    client.py ADDRESS PORT CONNECTIONS < queries.json

The input's first line is a JSON list of [target, answer]; the end of the input ends the load. Printed: JSON with the
number of answers, and for each error its time (the machine's monotonic clock) and kind. A request is an error unless
its whole answer arrives within three seconds, with status 200 and the expected body. An announced `Connection: close`
is none.
"""
import json
import socket
import sys
import threading
import time

# Seconds without an answer that make a request lost. Far above any answer, so that a busy machine loses none.
TIMEOUT = 3.0
# Between requests: a fleet under load, not at its limit, on a machine that also runs the fleet.
PAUSE = 0.002
# Requests on one connection: clients come and go, and new connections are what a balancer directs.
REQUESTS_PER_CONNECTION = 100
# After a failure, so that a dead address is not counted once per microsecond.
BACK_OFF = 0.05


class Failure(Exception):
    """A request without its answer; the text is the kind."""


class Connection:
    """One keep-alive client."""

    def __init__(self, address, first):
        self.address, self.next, self.socket = address, first, None
        self.answers, self.errors, self.latest = 0, [], 0.0

    def run(self, queries, stop):
        while not stop.is_set():
            target, answer = queries[self.next % len(queries)]
            self.next += 1
            start = time.monotonic()
            try:
                self.ask(target, answer)
                self.answers += 1
                self.latest = max(self.latest, time.monotonic() - start)
                if self.answers % REQUESTS_PER_CONNECTION == 0:
                    self.close()
                time.sleep(PAUSE)
            except Failure as failure:
                self.errors.append((start, str(failure)))
                self.close()
                time.sleep(BACK_OFF)
        self.close()

    def ask(self, target, answer):
        if self.socket is None:
            try:
                self.socket = socket.create_connection(self.address, timeout=TIMEOUT)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                raise Failure("connect timeout" if isinstance(error, TimeoutError) else "refused") from error
        try:
            self.socket.sendall(f"GET {target} HTTP/1.1\r\nHost: fleet\r\n\r\n".encode())
            head, body = self.response()
        except TimeoutError as error:
            raise Failure("timeout") from error
        except OSError as error:
            raise Failure("reset") from error
        if not head.startswith(b"HTTP/1.1 200 "):
            raise Failure(f"status {head[9:12].decode()}")
        if body != answer:
            raise Failure("wrong answer")
        if b"\r\nconnection: close" in head.lower():
            self.close()

    def response(self):
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.more()
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += self.more()
        return head, body

    def more(self):
        chunk = self.socket.recv(65536)
        if not chunk:
            raise Failure("closed")
        return chunk

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None


def main():
    address, count = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
    queries = [(target, answer.encode()) for target, answer in json.loads(sys.stdin.readline())]
    stop = threading.Event()
    connections = [Connection(address, first) for first in range(count)]
    threads = [threading.Thread(target=one.run, args=(queries, stop)) for one in connections]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({
        "answers": sum(one.answers for one in connections),
        "slowest_s": max(one.latest for one in connections),
        "errors": sorted(error for one in connections for error in one.errors),
    }))


if __name__ == "__main__":
    main()
