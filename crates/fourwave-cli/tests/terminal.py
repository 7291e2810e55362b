"""Drives a shell in a pseudo-terminal: terminal.py FOURWAVE SCENARIO."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios

FOURWAVE, SCENARIO = sys.argv[1:]
GIVE_UP = 60  # seconds: not a measurement, only so that a failure ends


if SCENARIO == "sleeper":
    # A program that says when it runs and when it was continued.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGCONT, lambda *_: print("continued", flush=True))
    print("running", flush=True)
    while True:
        signal.pause()


class Terminal:
    def __init__(self):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.environ.update(PS1="OUT> ", TERM="dumb", HISTFILE="/dev/null")
            os.execvp("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 37, 101, 0, 0))
        self.seen = ""

    def until(self, pattern):
        """Reads up to a match of the pattern; returns all of it."""
        while not (match := re.search(pattern, self.seen)):
            ready, _, _ = select.select([self.fd], [], [], GIVE_UP)
            if not ready:
                sys.exit(f"no {pattern!r} in {self.seen!r}")
            try:
                self.seen += os.read(self.fd, 65536).decode()
            except OSError:
                sys.exit(f"terminal closed before {pattern!r} in {self.seen!r}")
        text, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return text

    def type(self, text, pattern):
        os.write(self.fd, text.encode())
        return self.until(pattern)


terminal = Terminal()
terminal.until("OUT> ")
RUNNING = r"running\r\n"
CONTINUED = r"continued\r\n"
SLEEPER = f"python3 {__file__} - sleeper"

if SCENARIO == "shell":
    command = f"PS1='IN> ' {FOURWAVE} run -q -- bash --norc --noprofile --noediting -i\n"
    terminal.type(command, "IN> ")
    terminal.type("stty size\n", "37 101\r\n")
    fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 21, 55, 0, 0))
    terminal.type("stty size\n", "21 55\r\n")
    # Ctrl-C ends what is in the foreground, not the shell, not the gateway.
    terminal.type(SLEEPER + "\n", RUNNING)
    terminal.type("\x03", "IN> ")
    terminal.type(SLEEPER + "\n", RUNNING)
    terminal.type("\x1a", r"Stopped(.|\n)*IN> ")
    terminal.type("fg\n", CONTINUED)
    terminal.type("\x03", "IN> ")
    # The shell stops itself: the caller's shell must get the terminal, and give it back.
    terminal.type("suspend\n", r"Stopped(.|\n)*OUT> ")
    terminal.type("fg\n", "IN> ")
    terminal.type("echo still-$((40 + 2))\n", "still-42\r\n")
    terminal.type("exit 9\n", "OUT> ")
    terminal.type("echo status-$?\n", "status-9\r\n")
elif SCENARIO == "program":
    program = f"{FOURWAVE} run -q -- {SLEEPER}\n"
    terminal.type(program, RUNNING)
    terminal.type("\x1a", r"Stopped(.|\n)*OUT> ")
    terminal.type("fg\n", CONTINUED)
    terminal.type("\x03", "OUT> ")
    terminal.type("echo status-$?\n", "status-130\r\n")
    terminal.type(program, RUNNING)
    terminal.type("\x1c", "OUT> ")
    terminal.type("echo status-$?\n", "status-131\r\n")
elif SCENARIO == "script":
    # A shell goes on with its script when the interrupted program ends normally.
    script = f"bash -c '{FOURWAVE} run -q -- {SLEEPER}; echo went-on'\n"
    terminal.type(script, RUNNING)
    text = terminal.type("\x03", "OUT> ")
    if "went-on" in text:
        sys.exit(f"the script went on after Ctrl-C: {text!r}")
else:
    sys.exit(f"no scenario {SCENARIO}")

terminal.type("exit\n", "exit")
