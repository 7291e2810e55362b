//! `cargo xtask tw`: many short connections to one destination through `fourwave run`, one row
//! for each remedy against too many TIME_WAITs.
//!
//! Both ends are this program on the kernel's TCP; who holds TIME_WAIT depends on who closes.

pub(crate) mod ends;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use ends::Counted;

/// Where the client stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The program calls a server of the host.
    Out,
    /// The host calls a published server of the program's.
    In,
}

struct Row {
    name: &'static str,
    way: Way,
    /// Options of `fourwave run`.
    run: &'static str,
    /// Options of the client.
    client: &'static str,
}

const fn row(name: &'static str, way: Way, run: &'static str, client: &'static str) -> Row {
    Row { name, way, run, client }
}

const ROWS: &[Row] = &[
    row("server-first", Way::Out, "", ""),
    row("no-timestamps", Way::Out, "", "--sysctl net.ipv4.tcp_timestamps=0"),
    row("timewait-1", Way::Out, "-o tcp_timewait_len=1", ""),
    row("timewait-0", Way::Out, "-o tcp_timewait_len=0", ""),
    row("recycle", Way::Out, "-o tcp_tw_recycle=1", ""),
    row("recycle-one-clock", Way::Out, "-o tcp_tw_recycle=1", "--sysctl net.ipv4.tcp_timestamps=2"),
    row("bound-oldest", Way::Out, "-o tcp_max_tw_buckets=1000", ""),
    row("bound-refuse", Way::Out, "-o tcp_max_tw_buckets=1000 -o tw_overflow=refuse-new", ""),
    row("bound-shorten", Way::Out, "-o tcp_max_tw_buckets=1000 -o tw_overflow=shorten", ""),
    row("rfc1337", Way::Out, "-o tcp_rfc1337=1", ""),
    row("client-first", Way::Out, "", "--first"),
    row(
        "client-first-few-ports",
        Way::Out,
        "",
        "--first --sysctl net.ipv4.ip_local_port_range=40000,44095",
    ),
    row("client-first-engine-1", Way::Out, "-o tcp_timewait_len=1", "--first"),
    row("client-first-reuse", Way::Out, "", "--first --sysctl net.ipv4.tcp_tw_reuse=1"),
    row(
        "client-first-reuse-no-timestamps",
        Way::Out,
        "",
        "--first --sysctl net.ipv4.tcp_tw_reuse=1 --sysctl net.ipv4.tcp_timestamps=0",
    ),
    row("client-first-linger-0", Way::Out, "", "--first --linger-zero"),
    row("kept", Way::Out, "", "--keep"),
    row("published", Way::In, "", "--first"),
    row("published-reuse", Way::In, "-o tcp_tw_reuse=1", "--first"),
    row(
        "published-reuse-no-timestamps",
        Way::In,
        "-o tcp_tw_reuse=1 -o tcp_timestamps=0",
        "--first",
    ),
    row("published-timewait-1", Way::In, "-o tcp_timewait_len=1", "--first"),
    row("published-recycle", Way::In, "-o tcp_tw_recycle=1", "--first"),
    row("published-bound", Way::In, "-o tcp_max_tw_buckets=1000", "--first"),
    row("published-server-first", Way::In, "", ""),
];

/// A process that ends with its standard input.
struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    fn start(command: &mut Command) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("the server cannot be started: {e}"))?;
        let stdout = child.stdout.take().map(BufReader::new).ok_or("no pipe to the server")?;
        Ok(Self { child, stdout })
    }

    /// The address that it prints when it listens.
    fn address(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).map_err(|e| e.to_string())?;
        let line = line.trim();
        if line.is_empty() { Err("the server did not start".into()) } else { Ok(line.to_owned()) }
    }

    /// Ends it; what it said on standard error.
    fn finish(mut self) -> Result<String, String> {
        drop(self.child.stdin.take());
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said).map_err(|e| e.to_string())?;
        }
        self.child.wait().map_err(|e| e.to_string())?;
        Ok(said)
    }
}

struct Bench {
    fourwave: PathBuf,
    xtask: PathBuf,
    count: u64,
}

/// What one row came to.
struct Outcome {
    counted: Counted,
    counters: HashMap<String, u64>,
    command: String,
}

fn words(line: &str) -> impl Iterator<Item = String> + '_ {
    line.split_whitespace().map(str::to_owned)
}

fn counters(said: &str) -> HashMap<String, u64> {
    said.lines()
        .filter_map(|line| line.strip_prefix("fourwave: ")?.rsplit_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

fn counted(output: &[u8], said: &str) -> Result<Counted, String> {
    serde_json::from_slice(output).map_err(|e| format!("no figures of the client: {e}: {said}"))
}

/// The command with its programs' names alone.
fn shown(command: &Command) -> String {
    let name = |word: &std::ffi::OsStr| {
        let path = Path::new(word);
        let short = path.file_name().filter(|_| path.is_absolute()).unwrap_or(word);
        short.to_string_lossy().into_owned()
    };
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(name).collect::<Vec<_>>().join(" ")
}

impl Bench {
    fn client(&self, row: &Row, address: &str) -> Vec<String> {
        let mut all = vec![self.xtask.display().to_string(), "tw-client".into(), address.into()];
        all.extend(words(row.client));
        all.extend(["--count".into(), self.count.to_string()]);
        all
    }

    fn run_command(&self, row: &Row) -> Command {
        let mut command = Command::new(&self.fourwave);
        command.args(["run", "--counters"]).args(words(row.run));
        command
    }

    fn measure(&self, row: &Row) -> Result<Outcome, String> {
        match row.way {
            Way::Out => self.out(row),
            Way::In => self.r#in(row),
        }
    }

    fn out(&self, row: &Row) -> Result<Outcome, String> {
        let mut server =
            Server::start(Command::new(&self.xtask).args(["tw-server", "127.0.0.1:0"]))?;
        let address = server.address()?.replace("127.0.0.1", "10.4.0.1");
        let mut command = self.run_command(row);
        command.arg("--host-loopback").arg("--").args(self.client(row, &address));
        let output = command.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
        server.finish()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let counted = counted(&output.stdout, &said)?;
        Ok(Outcome { counted, counters: counters(&said), command: shown(&command) })
    }

    fn r#in(&self, row: &Row) -> Result<Outcome, String> {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        let published = free.map_err(|e| e.to_string())?;
        let mut command = self.run_command(row);
        command.args(["-p", &format!("{published}:80")]).arg("--").arg(&self.xtask);
        command.args(["tw-server", "0.0.0.0:80"]).stderr(Stdio::piped());
        let mut server = Server::start(&mut command)?;
        server.address()?;
        let client = self.client(row, &published.to_string());
        let mut calling = Command::new(&client[0]);
        let output = calling.args(&client[1..]).output().map_err(|e| e.to_string())?;
        let said = server.finish()?;
        let counted = counted(&output.stdout, &String::from_utf8_lossy(&output.stderr))?;
        let command = format!("{}  and  {}", shown(&command), shown(&calling));
        Ok(Outcome { counted, counters: counters(&said), command })
    }
}

fn failures(counted: &Counted) -> String {
    let all = [
        (counted.no_port, "no port"),
        (counted.refused, "refused"),
        (counted.reset, "reset"),
        (counted.other, "other"),
        (counted.waiting, "still opening"),
    ];
    let some = all.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    let text = some.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "0".to_owned() } else { text }
}

fn print(row: &Row, outcome: &Outcome) {
    let Outcome { counted, counters, .. } = outcome;
    let of = |name: &str| counters.get(name).copied().unwrap_or(0);
    let kernel = match row.way {
        Way::Out => counted.kernel_tw_peak.to_string(),
        Way::In => "-".to_owned(),
    };
    println!(
        "| {} | {} | {} | {:.0} | {} | {} | {} | {} | {} | {} | {} | {kernel} |",
        row.name,
        counted.opened,
        failures(counted),
        counted.requests as f64 / counted.seconds,
        of("in TIME_WAIT"),
        of("most in TIME_WAIT"),
        of("TcpExtTWTakenOver"),
        of("TcpExtTWRecycled"),
        of("TcpExtTW"),
        of("TcpExtTWKilled"),
        of("TcpExtTCPTimeWaitOverflow"),
    );
}

/// Measures each row, or those that are named.
pub(crate) fn run(root: &Path, count: u64, names: &[String]) -> Result<(), String> {
    let known = |name: &str| ROWS.iter().any(|row| row.name == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let all: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("there is no row {unknown}: choose of {}", all.join(", ")));
    }
    let fourwave = crate::shell::dist(root)?;
    let xtask = std::env::current_exe().map_err(|e| e.to_string())?;
    let bench = Bench { fourwave, xtask, count };
    println!(
        "| row | opened | failed | 1/s | TIME_WAIT at end | peak | TWTakenOver | TWRecycled | TW \
         | TWKilled | at the bound | kernel's peak |"
    );
    println!("| --- |{}", " ---: |".repeat(11));
    let mut commands = Vec::new();
    for row in ROWS.iter().filter(|r| names.is_empty() || names.iter().any(|n| n == r.name)) {
        let outcome = bench.measure(row).map_err(|e| format!("{}: {e}", row.name))?;
        print(row, &outcome);
        commands.push((row.name, outcome.command));
    }
    println!();
    for (name, command) in commands {
        println!("{name}: {command}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_is_said() {
        let said = "fourwave: TcpExtTW 3\nother\nfourwave: in TIME_WAIT 12\nfourwave: 2 x; y\n";
        let read = counters(said);
        assert_eq!((read.len(), read["TcpExtTW"], read["in TIME_WAIT"]), (2, 3, 12));
        let counted = Counted { no_port: 2, reset: 1, ..Counted::default() };
        assert_eq!(failures(&counted), "2 no port, 1 reset");
        assert_eq!(failures(&Counted::default()), "0");
    }

    #[test]
    fn rows_have_names_of_their_own() {
        let mut names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
    }
}
