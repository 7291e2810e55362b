"""Makes faults with real sockets: fault.py KIND ADDRESS PORT …

Says `ready …` when the fault is there, obeys lines on standard input, and ends with it.
"""
import errno
import os
import resource
import selectors
import socket
import sys
import threading
import time

kind, address, port, *rest = sys.argv[1:]
target = (address, int(port))
numbers = [int(number) for number in rest]
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def say(*words):
    print(*words, flush=True)


def command():
    """The next word from the test; its end is ours."""
    line = sys.stdin.readline()
    if not line:
        os._exit(0)
    return line.strip()


def end_with_input():
    def wait():
        while True:
            command()

    threading.Thread(target=wait, daemon=True).start()


def listen(backlog=512):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(target)
    listener.listen(backlog)
    return listener


def serve():
    """Closes what its clients close."""
    end_with_input()
    listener = listen(4096)
    say("ready")
    watched = selectors.DefaultSelector()
    watched.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in watched.select():
            if key.fileobj is listener:
                watched.register(listener.accept()[0], selectors.EVENT_READ)
            elif not key.fileobj.recv(65536):
                watched.unregister(key.fileobj)
                key.fileobj.close()


def churn(count, rate=0):
    """Opens and closes first: count at once, then so many a second."""
    end_with_input()
    done = 0
    start = None
    while True:
        if done == count:
            say("ready", done)
            start = time.monotonic()
        if done >= count:
            if not rate:
                break
            time.sleep(max(0, start + (done - count) / rate - time.monotonic()))
        try:
            socket.create_connection(target).close()
            done += 1
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            say("exhausted", done)
            break
    threading.Event().wait()


def call(count):
    """Connects; closes when it is told to."""
    calls = []
    for _ in range(count):
        caller = socket.socket()
        caller.setblocking(False)
        caller.connect_ex(target)
        calls.append(caller)
    say("ready")
    while command() == "close":
        for caller in calls:
            caller.close()
        say("closed")


def keep(count):
    """Connects, each when the one before is there, and keeps them."""
    kept = [socket.create_connection(target) for _ in range(count)]
    say("ready", len(kept))
    command()


def leak(count, unread=0):
    """Reads each connection to its end and forgets it; of `unread` it does not even read that."""
    listener = listen()
    say("ready")
    kept = [listener.accept()[0] for _ in range(count)]
    for one in kept[unread:]:
        while one.recv(65536):
            pass
    say("leaked", *(one.fileno() for one in kept))
    while command() == "close":
        for one in kept:
            one.close()
        say("closed")


def full(backlog):
    """Accepts nothing."""
    listener = listen(backlog)
    say("ready", listener.fileno())
    command()


globals()[kind](*numbers)
