//! `cargo xtask bench`: the gateway beside a direct path, in turn, in one run.
//!
//! A server stands in a namespace of its own behind a veth pair; the same client runs directly
//! and under `fourwave run`, round by round, and the medians and their ratio are printed. Only
//! ratios of one run mean something: machines are shared.

use std::io::IsTerminal;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// The server's end of the veth pair, and ours.
const SERVER: &str = "10.97.0.2";
const OURS: &str = "10.97.0.1";
const NAMESPACE: &str = "fourwave-bench";
const VETH: &str = "fwbench0";

/// A client's command, and how to read its figure.
struct Case {
    name: &'static str,
    unit: &'static str,
    command: Vec<String>,
    /// Options of `fourwave run` for this case.
    options: &'static [&'static str],
    figure: fn(&str) -> Option<f64>,
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn cases(seconds: u32) -> Vec<Case> {
    let iperf = |name, extra: &str, options| Case {
        name,
        unit: "Gb/s",
        command: words(&format!("iperf3 -J -c {SERVER} -t {seconds} {extra}")),
        options,
        figure: iperf_figure,
    };
    let wrk = |name, extra: &str| {
        let mut command = words(&format!("wrk -t1 -c64 -d{seconds}s http://{SERVER}/100"));
        if !extra.is_empty() {
            command.extend(["-H".to_owned(), extra.to_owned()]);
        }
        Case { name, unit: "1/s", command, options: &[], figure: wrk_figure }
    };
    vec![
        iperf("up, one stream", "", &[]),
        iperf("down, one stream", "-R", &[]),
        iperf("up, one stream, MTU 1500", "", &["--mtu", "1500"]),
        iperf("down, one stream, MTU 1500", "-R", &["--mtu", "1500"]),
        iperf("up, 8 streams", "-P 8", &[]),
        iperf("down, 8 streams", "-R -P 8", &[]),
        wrk("new connections", "Connection: close"),
        wrk("kept connections", ""),
    ]
}

fn iperf_figure(output: &str) -> Option<f64> {
    let json: serde_json::Value = serde_json::from_str(output).ok()?;
    Some(json.pointer("/end/sum_received/bits_per_second")?.as_f64()? / 1e9)
}

fn wrk_figure(output: &str) -> Option<f64> {
    let line = output.lines().find_map(|l| l.trim().strip_prefix("Requests/sec:"))?;
    line.trim().parse().ok()
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

fn measure(case: &Case, command: &[String]) -> Result<f64, String> {
    let output = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{} cannot be started: {e}", command[0]))?;
    let text = String::from_utf8_lossy(&output.stdout);
    (case.figure)(&text).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("{}: no figure in the output of {}: {}", case.name, command.join(" "), said.trim())
    })
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Runs every case `rounds` times each way and prints a line for each.
pub(crate) fn run(root: &Path, rounds: usize, seconds: u32) -> Result<(), String> {
    let fourwave = root.join("target/release/fourwave");
    let built = Command::new("cargo")
        .args(["build", "--release", "--package", "fourwave-cli"])
        .current_dir(root)
        .status()
        .map_err(|e| format!("cargo cannot be started: {e}"))?;
    if !built.success() {
        return Err("the release build failed".to_owned());
    }
    let _site = Site::new(root)?;
    println!("{:<28}{:>12}{:>12}{:>8}", "median of rounds", "direct", "fourwave", "ratio");
    for case in cases(seconds) {
        let (mut direct, mut ours) = (Vec::new(), Vec::new());
        let mut run = vec![fourwave.display().to_string(), "run".into(), "--quiet".into()];
        run.extend(case.options.iter().map(|o| (*o).to_owned()));
        run.push("--".into());
        run.extend(case.command.iter().cloned());
        for round in 1..=rounds {
            if std::io::stderr().is_terminal() {
                eprint!("\r{}, round {round} of {rounds}\x1b[K", case.name);
            }
            direct.push(measure(&case, &case.command)?);
            ours.push(measure(&case, &run)?);
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        let (direct, ours) = (median(&mut direct), median(&mut ours));
        let digits = if direct < 1000.0 { 2 } else { 0 };
        println!(
            "{:<28}{direct:>12.digits$}{ours:>12.digits$}{:>8.2}  {}",
            case.name,
            ours / direct,
            case.unit
        );
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
        assert_eq!(wrk_figure("x\n  Requests/sec:  18378.10\n"), Some(18378.1));
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
    }
}
