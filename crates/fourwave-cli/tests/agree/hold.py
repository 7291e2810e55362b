"""Connections that stay in each state for a while, and what `ss` says about them: `hold.py serve`,
`hold.py sample FILE` on each host until a file `stop` appears, `hold.py visit ADDRESS`."""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

HOLD = 0.8
LINGER = struct.pack("ii", 1, 0)

# Port: what the client does and what the server does; each sleeps, or waits for the other's end.
# Those that never close keep what they hold until the processes end.
WAYS = {
    9000: (["sleep", "close"], ["wait", "sleep", "close"]),
    9001: (["wait", "sleep", "close"], ["sleep", "close"]),
    # Pure ACKs of the client are lost: the server stays in LAST_ACK.
    9002: (["say", "sleep", "close"], ["wait", "sleep", "close"]),
    # ACKs of the server are lost: the client stays in FIN_WAIT_1.
    9003: (["sleep", "close"], ["keep"]),
    # Pure ACKs of the client are lost: the server stays in SYN_RECEIVED.
    9004: (["keep"], ["keep"]),
    9005: (["sleep", "abort"], ["wait", "close"]),
    # Every SYN is lost: the client stays in SYN_SENT.
    9007: (["keep"], ["keep"]),
    # FINs of the client are lost: it stays in CLOSING.
    9008: (["sleep", "close"], ["sleep", "sleep", "close"]),
}

kept = []


def act(sock, steps):
    for step in steps:
        if step == "sleep":
            time.sleep(HOLD)
        elif step == "say":
            sock.sendall(b"word")
        elif step == "wait":
            try:
                while sock.recv(4096):
                    pass
            except ConnectionError:
                pass
        elif step == "keep":
            kept.append(sock)
            return
        elif step == "abort":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            sock.close()
        elif step == "close":
            sock.close()


def serve():
    def accept(listener, steps):
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=act, args=(sock, steps), daemon=True).start()

    for port, (_, steps) in WAYS.items():
        listener = socket.create_server(("", port))
        threading.Thread(target=accept, args=(listener, steps), daemon=True).start()
    threading.Event().wait()


def visit(address):
    def one(port, steps):
        sock = socket.socket()
        sock.setblocking(False)
        try:
            sock.connect((address, port))
        except BlockingIOError:
            pass
        if port == 9007:
            kept.append(sock)
            return
        time.sleep(0.05)
        sock.setblocking(True)
        act(sock, steps)

    threads = [threading.Thread(target=one, args=(port, way[0])) for port, way in WAYS.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(2.5)
    # What happens when this process ends is no concern of the samples.
    open("stop", "w").close()
    time.sleep(0.5)


def sample(path):
    with open(path, "w") as out:
        while not os.path.exists("stop"):
            before = time.time()
            said = subprocess.run(["ss", "-Htan"], capture_output=True, text=True, check=True)
            after = time.time()
            lines = [line.split() for line in said.stdout.splitlines()]
            states = {f"{line[3]} {line[4]}": line[0] for line in lines}
            out.write(json.dumps({"before": before, "after": after, "states": states}) + "\n")
            time.sleep(0.02)


if sys.argv[1] == "serve":
    serve()
elif sys.argv[1] == "sample":
    sample(sys.argv[2])
else:
    visit(sys.argv[2])
