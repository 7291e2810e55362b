//! `cargo xtask bench`: the gateway beside a direct path and beside pasta, in turn, in one run.
//!
//! A server stands in a namespace of its own behind a veth pair; the same client runs directly,
//! under pasta (package passt, where it is installed) and under `fourwave run`, round by round,
//! and the medians and their ratios are printed. Only ratios of one run mean something: machines
//! are shared.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use clap::Subcommand;

use crate::shell;

/// Other things to measure.
#[derive(Subcommand)]
pub(crate) enum What {
    /// Measure one TCP stream over an impaired link, the engine beside Linux (root; --help)
    #[command(disable_help_flag = true)]
    Path {
        /// Of `fourwave-path`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// Builds what measures with the profile of what is handed out, and runs it.
pub(crate) fn other(root: &Path, what: What) -> Result<(), String> {
    let What::Path { arguments } = what;
    let build = ["build", "--quiet", "--profile", "dist", "--package", "fourwave-path"];
    shell::run(shell::cargo(root).args(build))?;
    let program = root.join("target/dist/fourwave-path");
    let status = Command::new(&program).args(arguments).status();
    match status.map_err(|e| format!("{}: {e}", program.display()))? {
        status if status.success() => Ok(()),
        // It has said why.
        status => Err(format!("bench path: {status}")),
    }
}

/// The server's end of the veth pair, and ours.
const SERVER: &str = "10.97.0.2";
const OURS: &str = "10.97.0.1";
const NAMESPACE: &str = "fourwave-bench";
const VETH: &str = "fwbench0";
/// Seconds after which a measurement is given up; the longest takes 600 s.
const LIMIT: &str = "660";

/// One figure of a client's output.
struct Figure {
    name: String,
    unit: &'static str,
    read: fn(&str) -> Option<f64>,
}

/// A client's command, and how to read its figures.
struct Case {
    command: Vec<String>,
    /// Options of `fourwave run` for this case; pasta has none of them and is left out then.
    options: &'static [&'static str],
    figures: Vec<Figure>,
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn cases(seconds: u32) -> Vec<Case> {
    let iperf = |name: &str, extra: &str, options| Case {
        command: words(&format!("iperf3 -J -c {SERVER} -t {seconds} {extra}")),
        options,
        figures: vec![Figure { name: name.to_owned(), unit: "Gb/s", read: iperf_figure }],
    };
    let wrk = |connections: u32, seconds: u32| {
        words(&format!("wrk --latency -t1 -c{connections} -d{seconds}s http://{SERVER}/100"))
    };
    let mut opened = wrk(64, seconds);
    opened.extend(["-H".to_owned(), "Connection: close".to_owned()]);
    let rate = |name: String| Figure { name, unit: "1/s", read: wrk_rate };
    let mut cases = vec![
        iperf("up, one stream", "", &[]),
        iperf("down, one stream", "-R", &[]),
        iperf("up, one stream, MTU 1500", "", &["--mtu", "1500"]),
        iperf("down, one stream, MTU 1500", "-R", &["--mtu", "1500"]),
        iperf("up, 8 streams", "-P 8", &[]),
        iperf("down, 8 streams", "-R -P 8", &[]),
        Case { command: opened, options: &[], figures: vec![rate("new connections".to_owned())] },
    ];
    cases.extend([1, 16, 64].map(|connections| Case {
        command: wrk(connections, seconds),
        options: &[],
        figures: vec![
            rate(format!("requests, {connections} kept")),
            Figure { name: "  p50".to_owned(), unit: "µs", read: |text| wrk_latency(text, "50%") },
            Figure { name: "  p99".to_owned(), unit: "µs", read: |text| wrk_latency(text, "99%") },
        ],
    }));
    cases
}

fn iperf_figure(output: &str) -> Option<f64> {
    let json: serde_json::Value = serde_json::from_str(output).ok()?;
    Some(json.pointer("/end/sum_received/bits_per_second")?.as_f64()? / 1e9)
}

fn wrk_rate(output: &str) -> Option<f64> {
    let line = output.lines().find_map(|l| l.trim().strip_prefix("Requests/sec:"))?;
    line.trim().parse().ok()
}

/// A row of wrk's latency distribution, in microseconds.
fn wrk_latency(output: &str, percentile: &str) -> Option<f64> {
    let time = output.lines().find_map(|l| l.trim().strip_prefix(percentile))?.trim();
    let split = time.find(|c: char| c.is_ascii_alphabetic())?;
    let factor = match &time[split..] {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        _ => return None,
    };
    Some(time[..split].parse::<f64>().ok()? * factor)
}

/// The ways from the client to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Pasta,
    Fourwave,
}

/// pasta gives root up, and then may not have the TUN: it gets one of its own, as nobody.
const PASTA: &str = "mount -t tmpfs -o mode=755 devices /dev/net && \
    mknod -m 666 /dev/net/tun c 10 200 && exec setpriv --reuid 65534 --regid 65534 \
    --clear-groups pasta --quiet --config-net --no-map-gw --ipv4-only -- \"$@\"";

/// The client's command for a way; `None` where the way cannot be had.
fn command(way: Way, case: &Case, fourwave: &Path) -> Option<Vec<String>> {
    let mut command = match way {
        Way::Direct => Vec::new(),
        Way::Pasta if shell::find("pasta").is_none() || !case.options.is_empty() => return None,
        Way::Pasta => ["unshare", "--mount", "sh", "-c", PASTA, "sh"].map(str::to_owned).to_vec(),
        Way::Fourwave => {
            let mut run = vec![fourwave.display().to_string(), "run".into(), "--quiet".into()];
            run.extend(case.options.iter().map(|o| (*o).to_owned()));
            run.push("--".into());
            run
        }
    };
    command.extend(case.command.iter().cloned());
    Some(command)
}

/// What the bench made, taken down again when dropped.
struct Site {
    servers: Vec<Child>,
    folder: std::path::PathBuf,
}

impl Drop for Site {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // Each is our own child; one that is gone already needs nothing.
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = quiet("ip", &["netns", "del", NAMESPACE]);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn quiet(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|e| format!("{program} cannot be started: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}", arguments.join(" "), said.trim()))
}

impl Site {
    fn new(root: &Path) -> Result<Self, String> {
        let folder = root.join("target/bench");
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        quiet("ip", &["netns", "add", NAMESPACE])?;
        let mut site = Self { servers: Vec::new(), folder };
        quiet("ip", &["link", "add", VETH, "type", "veth", "peer", "eth0", "netns", NAMESPACE])?;
        quiet("ip", &["address", "add", &format!("{OURS}/24"), "dev", VETH])?;
        quiet("ip", &["link", "set", VETH, "up"])?;
        let inside = |arguments: &[&str]| quiet("ip", &[&["-n", NAMESPACE], arguments].concat());
        inside(&["address", "add", &format!("{SERVER}/24"), "dev", "eth0"])?;
        inside(&["link", "set", "eth0", "up"])?;
        inside(&["link", "set", "lo", "up"])?;
        let nginx = site.folder.join("nginx.conf");
        std::fs::write(&nginx, nginx_conf(&site.folder)).map_err(|e| e.to_string())?;
        site.serve(&["iperf3", "-s"])?;
        site.serve(&["nginx", "-c", &nginx.display().to_string()])?;
        sleep(Duration::from_secs(1));
        Ok(site)
    }

    fn serve(&mut self, command: &[&str]) -> Result<(), String> {
        let child = Command::new("ip")
            .args(["netns", "exec", NAMESPACE])
            .args(command)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("ip cannot be started: {e}"))?;
        self.servers.push(child);
        Ok(())
    }
}

fn nginx_conf(folder: &Path) -> String {
    let folder = folder.display();
    let body = "x".repeat(100);
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 100000000;\n\
         server {{ listen 80; location /100 {{ return 200 \"{body}\"; }} }} }}\n"
    )
}

/// The figures of one run of a client, in the order of the case's.
fn measure(case: &Case, command: &[String]) -> Result<Vec<f64>, String> {
    // A way that hangs is one that has no figure, and must not hold up the rest.
    let output = Command::new("timeout")
        .args(["--kill-after=5", LIMIT])
        .args(command)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("timeout (coreutils) cannot be started: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let read = |figure: &Figure| {
        (figure.read)(&text).ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            let command = command.join(" ");
            format!("{}: no figure in the output of {command}: {}", figure.name, said.trim())
        })
    };
    case.figures.iter().map(read).collect()
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

const WAYS: [Way; 3] = [Way::Direct, Way::Pasta, Way::Fourwave];

/// Every figure of a case by every way, the medians of `rounds`.
fn compare(case: &Case, fourwave: &Path, rounds: usize) -> Result<[Option<Vec<f64>>; 3], String> {
    let commands = WAYS.map(|way| command(way, case, fourwave));
    let mut measured: [Vec<Vec<f64>>; 3] = Default::default();
    for round in 1..=rounds {
        if std::io::stderr().is_terminal() {
            eprint!("\r{}, round {round} of {rounds}\x1b[K", case.figures[0].name);
        }
        for (command, measured) in commands.iter().zip(&mut measured) {
            if let Some(command) = command {
                measured.push(measure(case, command)?);
            }
        }
    }
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    Ok(measured.map(|rounds| {
        let column = |i| median(&mut rounds.iter().map(|round| round[i]).collect::<Vec<_>>());
        (!rounds.is_empty()).then(|| (0..case.figures.len()).map(column).collect())
    }))
}

fn print(figure: &Figure, [direct, pasta, fourwave]: [Option<f64>; 3]) {
    let cell = |value: Option<f64>| match value {
        Some(value) if figure.unit == "Gb/s" => format!("{value:.2}"),
        Some(value) => format!("{value:.0}"),
        None => "-".to_owned(),
    };
    let ratio = fourwave.zip(direct).map(|(ours, direct)| format!("{:.2}", ours / direct));
    println!(
        "{:<28}{:>10}{:>10}{:>10}{:>8}  {}",
        figure.name,
        cell(direct),
        cell(pasta),
        cell(fourwave),
        ratio.as_deref().unwrap_or("-"),
        figure.unit
    );
}

/// Runs every case `rounds` times each way and prints a line for each figure.
pub(crate) fn run(root: &Path, rounds: usize, seconds: u32) -> Result<(), String> {
    let fourwave = shell::dist(root)?;
    if shell::find("pasta").is_none() {
        println!("pasta is missing (apt-get install passt): its column stays empty");
    }
    let _site = Site::new(root)?;
    println!(
        "{:<28}{:>10}{:>10}{:>10}{:>8}",
        "median of rounds", "direct", "pasta", "fourwave", "ratio"
    );
    for case in cases(seconds) {
        let ways = compare(&case, &fourwave, rounds)?;
        for (i, figure) in case.figures.iter().enumerate() {
            print(figure, [0, 1, 2].map(|way| Some(ways[way].as_ref()?[i])));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_the_programs_print() {
        let iperf = r#"{"end": {"sum_received": {"bits_per_second": 5.5e9}}}"#;
        assert_eq!(iperf_figure(iperf), Some(5.5));
        assert_eq!(iperf_figure("iperf3: error"), None);
        assert_eq!(wrk_rate("x\n  Requests/sec:  18378.10\n"), Some(18378.1));
        let spread = "  Latency Distribution\n     50%   51.00us\n     99%   26.88ms\n";
        assert_eq!(wrk_latency(spread, "50%"), Some(51.0));
        assert_eq!(wrk_latency(spread, "99%"), Some(26_880.0));
        assert_eq!(wrk_latency(spread, "75%"), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
    }
}
