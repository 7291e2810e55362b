//! Waits with a limit. It is no measurement: nothing needs a tenth of it unless the machine is very
//! busy, and what hangs must not keep the other tests from being told.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The longest that a child, a pipe or a socket may let a test wait.
pub const LIMIT: Duration = Duration::from_secs(120);

/// How often a child is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// [`Command::output`] with a limit. Standard streams that were set before do not hold.
pub trait Bounded {
    /// Runs the command to its end, its standard input empty.
    ///
    /// # Panics
    /// When it cannot be started, or does not end within [`LIMIT`]: then it is killed.
    fn bounded(&mut self) -> Output;

    /// The same with this standard input.
    fn bounded_reading(&mut self, input: impl Into<Stdio>) -> Output;

    /// The same with this standard output, which is not in what is returned.
    fn bounded_writing(&mut self, output: impl Into<Stdio>) -> Output;
}

impl Bounded for Command {
    #[track_caller]
    fn bounded(&mut self) -> Output {
        self.bounded_reading(Stdio::null())
    }

    #[track_caller]
    fn bounded_reading(&mut self, input: impl Into<Stdio>) -> Output {
        self.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        rest(spawned(self))
    }

    #[track_caller]
    fn bounded_writing(&mut self, output: impl Into<Stdio>) -> Output {
        self.stdin(Stdio::null()).stdout(output).stderr(Stdio::piped());
        rest(spawned(self))
    }
}

#[track_caller]
fn spawned(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()))
}

/// [`Child::wait_with_output`] with a limit: closes its standard input, reads what was not taken
/// of its pipes.
///
/// # Panics
/// When it does not end, or its pipes are held open, for longer than [`LIMIT`].
#[track_caller]
pub fn rest(mut child: Child) -> Output {
    drop(child.stdin.take());
    let (stdout, stderr) = (gather(child.stdout.take()), gather(child.stderr.take()));
    let status = ended(&mut child);
    let all = |pipe: Receiver<Vec<u8>>| pipe.recv_timeout(LIMIT).expect("its pipes to be closed");
    Output { status, stdout: all(stdout), stderr: all(stderr) }
}

fn gather(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        // Nobody waits for it any more when the test has failed.
        let _heard = sender.send(bytes);
    });
    receiver
}

/// [`Child::wait`] with a limit. Its standard input stays as it is.
///
/// # Panics
/// When it does not end within [`LIMIT`]: then it is killed.
#[track_caller]
pub fn ended(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return status;
        }
        if began.elapsed() > LIMIT {
            // The panic says more than that it was killed.
            let _killed = child.kill().and_then(|()| child.wait());
            panic!("process {} did not end within {LIMIT:?}", child.id());
        }
        std::thread::sleep(LOOK);
    }
}

/// What a thread comes to, with a limit: for calls that have none of their own.
///
/// # Panics
/// When it panics, or does not end within [`LIMIT`].
#[track_caller]
pub fn bounded<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        // Nobody waits for it any more when the limit is over.
        let _heard = sender.send(work());
    });
    receiver.recv_timeout(LIMIT).expect("it ends in time, and well")
}

/// A pipe or a socket whose reads have a limit: past [`LIMIT`] they fail as timed out.
#[derive(Debug)]
pub struct Limited<T>(pub T);

impl<T: AsFd + Read> Read for Limited<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        wait_for(&self.0)?;
        self.0.read(buffer)
    }
}

impl<T: Write> Write for Limited<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The next connection, whose reads and writes have a limit too.
///
/// # Panics
/// When none comes within [`LIMIT`].
#[track_caller]
pub fn accept(listener: &TcpListener) -> TcpStream {
    wait_for(listener).expect("somebody connects");
    let (stream, _) = listener.accept().expect("somebody connects");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream.set_write_timeout(Some(LIMIT)).expect("a limit");
    stream
}

/// Waits until there is something to read, or the end.
fn wait_for(fd: impl AsFd) -> io::Result<()> {
    let limit = Timespec::try_from(LIMIT).map_err(io::Error::other)?;
    loop {
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_is_run_to_its_end_with_all_that_it_says() {
        let output = sh("cat; echo out; echo err >&2; exit 3").bounded();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"in").unwrap();
        drop(writer);
        assert_eq!(sh("cat").bounded_reading(reader).stdout, b"in");
        assert_eq!(sh("echo out").bounded_writing(Stdio::null()).stdout, b"");
    }

    #[test]
    fn reads_go_on_to_the_end() {
        let mut child = sh("echo one; echo two").stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        Limited(child.stdout.take().unwrap()).read_to_string(&mut said).unwrap();
        assert_eq!((said.as_str(), ended(&mut child).code()), ("one\ntwo\n", Some(0)));
        assert_eq!(bounded(|| 42), 42);
    }

    #[test]
    fn a_connection_is_accepted_with_limits() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        caller.write_all(b"x").unwrap();
        drop(caller);
        let mut stream = accept(&listener);
        assert_eq!(stream.read_timeout().unwrap(), Some(LIMIT));
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"x");
    }
}
