//! Commands that end, commands that stay, and what they say. Time limits only stop what hangs.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use fourwave_testkit::Signal;

/// No command of these tests needs a tenth of it, unless the machine is very busy.
const LIMIT: Duration = Duration::from_secs(90);

/// What became of a command.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// 128 + N where signal N killed it, as a shell and `fourwave run` say it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn finish(command: Command) -> Outcome {
    finish_with(command, b"")
}

/// The same with this standard input.
pub(crate) fn finish_with(mut command: Command, input: &'static [u8]) -> Outcome {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that reads nothing closes the pipe.
    std::thread::spawn(move || drop(stdin.write_all(input)));
    let (stdout, stderr) = (gather(child.stdout.take()), gather(child.stderr.take()));
    let status = wait(&mut child, &command);
    let text = |pipe: Receiver<String>| pipe.recv_timeout(LIMIT).expect("its pipes to be closed");
    Outcome { code: code(status), stdout: text(stdout), stderr: text(stderr) }
}

impl Outcome {
    /// The same, if it went well.
    #[track_caller]
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
}

fn gather(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    let mut pipe = pipe.unwrap();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        // Nobody waits for it any more when the test has failed.
        let _heard = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

fn wait(child: &mut Child, command: &Command) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("did not end within {LIMIT:?}: {command:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for something that will be so soon.
pub(crate) fn wait_for(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn kill(pid: u32) {
    // It may have ended by itself.
    let _ended = fourwave_testkit::signal(pid, Signal::KILL);
}

/// Something that runs while the test does other things.
pub(crate) struct Server {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Server {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let errors = gather(child.stderr.take());
        Self { child, lines, errors }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it says.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => line,
            Err(error) => {
                kill(self.child.id());
                let errors = self.errors.recv_timeout(Duration::from_secs(5));
                panic!("no line: {error}; it said {errors:?}");
            }
        }
    }

    /// Waits for its end; what it said since the last line.
    pub(crate) fn end(mut self) -> Outcome {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > LIMIT {
                kill(self.child.id());
                panic!("did not end within {LIMIT:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let stderr = self.errors.recv_timeout(LIMIT).expect("its pipes to be closed");
        let stdout = self.lines.iter().map(|line| line + "\n").collect();
        Outcome { code: code(status), stdout, stderr }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        assert!(fourwave_testkit::signal(self.id(), signal));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}
