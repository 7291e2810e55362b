"""Uses an interactive shell: terminal.py URL COMMAND…, the command being run on a terminal."""
import os
import pty
import re
import select
import sys

url, command = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(SHELL="/bin/bash", PS1="% ", TERM="dumb", HISTFILE="")
    os.execvp(command[0], command)

seen = ""


def expect(pattern):
    """Reads until the pattern is there; forgets everything up to its end."""
    global seen
    while not (found := re.search(pattern, seen)):
        if not select.select([terminal], [], [], 60)[0]:
            sys.exit(f"no {pattern!r} in {seen!r}")
        try:
            seen += os.read(terminal, 4096).decode()
        except OSError:
            sys.exit(f"the end instead of {pattern!r} in {seen!r}")
    seen = seen[found.end():]
    return found


def type_in(text):
    os.write(terminal, text.encode())


# What is typed is echoed: the answers are worded so that the echo cannot match.
type_in("tty -s && echo a-$((1))-tty\n")
expect("a-1-tty")
print("a tty")
type_in(f"echo page:$(curl -sS {url} | wc -c)\n")
print("page", expect(r"page:(\d+)")[1])
# The job says itself that it runs: by then it is the terminal's foreground.
type_in("sh -c 'echo sleeps-$((1)); exec sleep 1000'; echo slept-$((1))\n")
expect("sleeps-1")
# Ctrl-C: the kernel sends SIGINT to the foreground job, and the shell goes on.
type_in("\x03")
type_in("echo back-$((1))\n")
expect("back-1")
print("interrupted" if "slept-1" not in seen else "not interrupted")
type_in("exit 7\n")
while True:
    try:
        if not os.read(terminal, 4096):
            break
    except OSError:
        break
print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
