"""A service that forgets its sockets: forgotten.py COMMAND…

Forty clients of it have closed when the command is run, in a network namespace of its own.
"""
import os
import socket
import subprocess
import sys
import time

CLIENTS = 40
ADDRESS = "10.9.0.2"
CLOSE_WAIT = "08"

# Its descriptors are counted from 3, whoever started it.
os.closerange(3, 256)
# Rules for loopback's own addresses do not hold then.
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", "address", "add", ADDRESS + "/32", "dev", "lo"], check=True)

listener = socket.socket()
listener.bind(("0.0.0.0", 8000))
listener.listen(CLIENTS)
service = os.fork()
if service == 0:
    forgotten = []
    while True:
        forgotten.append(listener.accept()[0])
listener.close()
for _ in range(CLIENTS):
    client = socket.create_connection((ADDRESS, 8000))
    # So that not all are of the same age.
    time.sleep(0.01)
    client.close()


def forgotten():
    with open("/proc/net/tcp") as table:
        states = [line.split()[3] for line in table.readlines()[1:]]
    with_descriptor = len(os.listdir(f"/proc/{service}/fd"))
    return min(states.count(CLOSE_WAIT), with_descriptor - 4)


try:
    while forgotten() < CLIENTS:
        time.sleep(0.01)
    sys.exit(subprocess.run(sys.argv[1:]).returncode)
finally:
    os.kill(service, 9)
