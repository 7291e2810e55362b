"""Uses `fourwave doctor --watch` on a terminal: terminal.py FOURWAVE SCENARIO."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

program, scenario = sys.argv[1:3]
arguments = ["doctor", "--watch", "--sample", "200ms"]
if scenario == "nowhere":
    arguments += ["--netns", "no-such-one"]
if scenario == "narrow":
    arguments.remove("--watch")

master, slave = pty.openpty()


def resize(lines, columns):
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


resize(30, 60 if scenario == "narrow" else 100)
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for number in (0, 1, 2):
        os.dup2(slave, number)
    os.environ["TERM"] = "xterm-256color"
    os.execv(program, [program, *arguments])

raw = ""


def read(wait):
    """What comes within a time."""
    global raw
    if not select.select([master], [], [], wait)[0]:
        return False
    raw += os.read(master, 65536).decode(errors="replace")
    return True


def expect(pattern):
    """Reads until the pattern is drawn; forgets everything up to its end."""
    global raw
    limit = time.monotonic() + 60
    while not (found := re.search(pattern, raw)):
        if time.monotonic() > limit or not read(60):
            os.kill(pid, signal.SIGKILL)
            sys.exit(f"no {pattern!r} in {raw!r}")
    raw = raw[found.end():]


def press(keys):
    os.write(master, keys.encode())


def end(status):
    """It ends so, and the terminal is what it was."""
    limit = time.monotonic() + 60
    while True:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        read(0.05)
        if time.monotonic() > limit:
            os.kill(pid, signal.SIGKILL)
            sys.exit("does not end")
    while read(0):
        pass
    if os.waitstatus_to_exitcode(code) != status:
        sys.exit(f"{os.waitstatus_to_exitcode(code)} instead of {status}: {raw!r}")
    if termios.tcgetattr(slave) != before:
        sys.exit("the terminal's mode is not what it was")


LEAVES = r"\x1b\[\?1049l"

if scenario == "nowhere":
    end(2)
    if "\x1b[?1049h" in raw or "no-such-one" not in raw:
        sys.exit(f"{raw!r}")
    sys.exit(0)

if scenario == "narrow":
    end(1)
    shown = re.sub(r"\x1b\[[0-9;]*[mK]", "", raw.rpartition("\r\x1b[K")[2])
    # Commands are not broken.
    lines = [line for line in shown.splitlines() if not line.startswith("    $ ")]
    if "accept queue" not in shown or max(map(len, lines)) > 60:
        sys.exit(shown)
    sys.exit(0)

expect(r"\x1b\[\?1049h")
expect("fourwave doctor")
expect("finding")
expect("10.9.0.2:8081")
if scenario == "keys":
    press("\r")
    expect("(?i)critical")
    expect("cause")
    press("\x1b[B")
    press("\x1b")
    expect("destination")
    press("s")
    expect("time")
    press("p")
    expect("PAUSED")
    press("?")
    expect("scroll its text")
    press("q")
    expect(LEAVES)
    end(0)
elif scenario == "resize":
    resize(12, 40)
    os.kill(pid, signal.SIGWINCH)
    # Too low for tables: the states stand in a line.
    expect(r"\x1b\[2;1H(\x1b\[[0-9;]*m)*LISTEN")
    resize(40, 120)
    os.kill(pid, signal.SIGWINCH)
    expect("destination")
    press("q")
    expect(LEAVES)
    end(0)
elif scenario == "interrupt":
    press("\x03")
    expect(LEAVES)
    end(0)
elif scenario == "terminate":
    os.kill(pid, signal.SIGTERM)
    expect(LEAVES)
    end(0)
