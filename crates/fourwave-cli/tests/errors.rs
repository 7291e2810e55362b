//! What a person reads when something is wrong: one line that names it, the right exit status,
//! and nothing left behind.

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use common::{Bounded, Scratch, fourwave, is_root, permitted, run, skip, stderr, stdout};
use fourwave_testkit::ended;

/// Runs, and expects this exit status and one line that contains these words.
#[track_caller]
fn refused(arguments: &[&str], status: i32, words: &[&str]) {
    let output = run(arguments);
    assert_line(&output, status, words);
}

#[track_caller]
fn assert_line(output: &std::process::Output, status: i32, words: &[&str]) {
    let line = stderr(output);
    assert_eq!(output.status.code(), Some(status), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("fourwave: "), "{line}");
    assert!(!line.contains("os error"), "{line}");
    for word in words {
        assert!(line.contains(word), "{word:?} is not in {line}");
    }
    assert_eq!(stdout(output), "");
}

#[test]
fn wrong_usage_is_2() {
    refused(&["-o", "tcp_fin_timeot=1", "--", "true"], 2, &["tcp_fin_timeot", "tcp_fin_timeout?"]);
    refused(&["-o", "tcp_fin_timeout=3601", "--", "true"], 2, &["0 to 3600 s", "not 3601"]);
    refused(&["-o", "tcp_fin_timeout", "--", "true"], 2, &["KNOB=VALUE"]);
    refused(&["--mtu", "1279", "--", "true"], 2, &["1279", "from 1280 to 65520"]);
    refused(&["--mtu", "65521", "--", "true"], 2, &["65521", "from 1280 to 65520"]);
    refused(&["-p", "80", "--", "true"], 2, &["ADDRESS:HOST-PORT:PORT"]);
    refused(&["-p", "::1:80:80", "--", "true"], 2, &["[::1]"]);
    refused(&["--fault", "drp:fin", "true"], 2, &["drp:fin", "no fault \"drp\"", "mean drop?"]);
    refused(&["--fault", "loss:101%", "true"], 2, &["loss:101%", "0% to 100%"]);
    refused(&["--fault", "rate:10mb", "true"], 2, &["rate:10mb", "as in 512kbit, 10mbit"]);
    refused(&["--fault", "drop:fin@::1", "true"], 2, &["drop:fin@::1", "[2001:db8::1]"]);
    refused(&["--publsh", "1:2", "--", "true"], 2, &["--publsh", "--publish"]);
    refused(&["--config", "/nonexistent", "--", "true"], 2, &["/nonexistent"]);
}

#[test]
fn an_internal_subcommand_by_hand_is_refused() {
    let output = fourwave().args(["__stage", "99", "true"]).bounded();
    assert_line(&output, 2, &["internal"]);
}

#[test]
fn a_port_in_use_is_told_before_the_program_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let publish = format!("127.0.0.1:{port}:80");
    refused(
        &["-p", &publish, "--", "echo", "started"],
        125,
        &[&publish[..publish.len() - 3], "in use"],
    );
    refused(&["-p", "192.0.2.1:8080:80", "--", "true"], 125, &["192.0.2.1:8080", "no interface"]);
    refused(&["-p", "[2001:db8::1]:8080:80", "--", "true"], 125, &["[2001:db8::1]:8080"]);
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_the_program_starts() {
    for option in ["--pcap=", "--events=", "--ladder="] {
        let missing = format!("{option}/nonexistent/file");
        refused(&[&missing, "--", "echo", "started"], 125, &["/nonexistent/file", "No such file"]);
        let directory = format!("{option}/");
        refused(&[&directory, "--", "echo", "started"], 125, &["Is a directory"]);
    }
}

#[test]
fn no_file_is_left_by_a_run_that_never_started() {
    let scratch = Scratch::new("no-file");
    let path = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let publish = format!("127.0.0.1:{}:80", taken.local_addr().unwrap().port());
    let (pcap, events) = (format!("--pcap={}", path("p")), format!("--events={}", path("e")));
    refused(&["-p", &publish, &pcap, &events, "--", "true"], 125, &["in use"]);
    refused(&[&pcap, &events, "--ladder=/nonexistent/l", "--", "true"], 125, &["/nonexistent/l"]);
    if permitted() {
        refused(&[&pcap, &events, "--", "/nonexistent/program"], 127, &["not found"]);
    }
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn a_command_that_cannot_run_is_127_or_126() {
    if !permitted() {
        return;
    }
    let scratch = Scratch::new("commands");
    let file = |name: &str, text: &str, mode: u32| {
        let path = scratch.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    refused(&["--", "no-such-command"], 127, &["no-such-command", "not found"]);
    refused(&["--", "/nonexistent/program"], 127, &["/nonexistent/program", "not found"]);
    let text = file("text", "true\n", 0o644);
    refused(&["--", &text], 126, &[&text, "Permission denied"]);
    let script = file("script", "#!/nonexistent/interpreter\n", 0o755);
    refused(&["--", &script], 126, &[&script, "interpreter"]);
    let directory = scratch.path().to_str().unwrap();
    refused(&["--", directory], 126, &[directory, "Permission denied"]);
    let bare = file("bare", "exit 5\n", 0o755);
    assert_eq!(run(&["-q", "--", &bare]).status.code(), Some(5), "execvp gives it to sh");
}

#[test]
fn help_and_version_are_where_people_look_for_them() {
    let output = |arguments: &[&str]| {
        let output = fourwave().args(arguments).bounded();
        assert_eq!(
            (output.status.code(), stderr(&output).as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
        stdout(&output)
    };
    let version = concat!("fourwave ", env!("CARGO_PKG_VERSION"), "\n");
    for arguments in [
        &["--version"][..],
        &["-V"],
        &["version"],
        &["run", "--version"],
        &["run", "-V"],
        &["trace", "--version"],
        &["doctor", "--version"],
        &["drill", "--version"],
        &["scenario", "--version"],
        &["knobs", "--version"],
        &["version", "--version"],
    ] {
        assert_eq!(output(arguments), version, "{arguments:?}");
    }
    for command in ["run", "knobs", "scenario", "trace", "doctor", "drill", "version"] {
        let help = output(&["help", command]);
        assert!(help.contains(&format!("Usage: fourwave {command}")), "{help}");
        assert_eq!(output(&[command, "--help"]), help);
        assert!(output(&["help"]).contains(&format!("\n  {command} ")), "{command}");
    }
    assert_eq!(output(&["help"]), output(&["--help"]));
    // What stands behind a command of the user's is the command's.
    if permitted() {
        let ran = run(&["-q", "--", "echo", "--version", "help"]);
        assert_eq!(stdout(&ran), "--version help\n");
    }
    let output = fourwave().args(["help", "rum"]).bounded();
    assert_line(&output, 2, &["rum"]);
}

/// `eprintln!` would panic.
#[test]
fn nobody_has_to_listen() {
    for arguments in [&["rum"][..], &["--help"], &["knobs"], &["run", "--mtu", "1", "true"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = fourwave();
        command.args(arguments).stdin(Stdio::null());
        let mut child = command.stdout(full.try_clone().unwrap()).stderr(full).spawn().unwrap();
        assert_eq!(ended(&mut child).code(), Some(2), "{arguments:?}");
    }
}

/// Every command, on a full disk: what the system said, and none of Rust's names for it.
#[test]
fn a_full_disk_is_called_that() {
    let scratch = Scratch::new("full-disk");
    let capture = scratch.path().join("a.pcapng");
    let capture = capture.to_str().unwrap();
    let made = fourwave().args(["scenario", "four-waves", "--pcap", capture]).bounded();
    assert!(made.status.success(), "{}", stderr(&made));
    for arguments in [
        &["knobs"][..],
        &["scenario"],
        &["scenario", "four-waves"],
        &["scenario", "--all"],
        &["trace", capture],
        &["trace", "--json", capture],
        &["drill", "--from", capture],
        &["drill", "../../conformance/matrix/closing/rst-at-right-edge.pkt"],
        &["doctor", "--explain", "TIME_WAIT"],
        &["doctor", "--sample", "100ms", "--json"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = fourwave().args(arguments).bounded_writing(full);
        assert_line(&output, 2, &["the output cannot be written: No space left on device"]);
    }
    for option in ["--html", "--pcap"] {
        let output = fourwave().args(["scenario", "four-waves", option, "/dev/full"]).bounded();
        let text = stderr(&output);
        assert!(
            text.contains("/dev/full") && text.ends_with(": No space left on device\n"),
            "{text}"
        );
    }
    let output = fourwave().args(["trace", capture, "--html", "/dev/full"]).bounded();
    let text = "fourwave: /dev/full cannot be written: No space left on device\n";
    assert_eq!(stderr(&output), text);
}

#[test]
fn a_program_behind_a_closed_door_is_126() {
    if !permitted() {
        return;
    }
    let scratch = Scratch::new("closed-door");
    let door = scratch.path().join("door");
    let program = door.join("program");
    fs::create_dir(&door).unwrap();
    fs::copy("/bin/true", &program).unwrap();
    let mut command = Command::new("env");
    if is_root() {
        // Every door is open to root, but for these rights.
        std::os::unix::fs::chown(&door, Some(65534), None).unwrap();
        fs::set_permissions(&door, PermissionsExt::from_mode(0o700)).unwrap();
        let rights = "--bounding-set=-dac_override,-dac_read_search";
        command.args(["setpriv", rights, "--inh-caps=-all"]);
    } else {
        fs::set_permissions(&door, PermissionsExt::from_mode(0o600)).unwrap();
    }
    command.args([env!("CARGO_BIN_EXE_fourwave"), "run", "--"]).arg(&program);
    let output = command.bounded();
    fs::set_permissions(&door, PermissionsExt::from_mode(0o700)).unwrap();
    let line = format!("{}: cannot be executed: Permission denied", program.display());
    assert_line(&output, 126, &[&line]);
}

/// Runs fourwave under a shell that first breaks its own namespaces.
fn broken(unshare: &[&str], break_it: &str) -> std::process::Output {
    let script = format!("{break_it} && exec \"$0\" run -- echo started");
    Command::new("unshare")
        .args(unshare)
        .args(["sh", "-c", &script, env!("CARGO_BIN_EXE_fourwave")])
        .bounded()
}

#[test]
fn what_is_missing_for_a_namespace_is_named_with_the_way_out() {
    if !permitted() {
        return;
    }
    if !is_root() {
        skip("needs root to take /dev/net/tun away");
        return;
    }
    let output = broken(&["-m"], "mount -t tmpfs none /dev/net");
    assert_line(&output, 125, &["/dev/net/tun is missing", "modprobe tun"]);
    // A device number without a driver, as in a container that was given the file only.
    let output = broken(&["-m"], "mount -t tmpfs none /dev/net && mknod /dev/net/tun c 10 201");
    assert_line(&output, 125, &["/dev/net/tun is missing"]);
    let output = broken(&["-Ur"], "echo 0 > /proc/sys/user/max_net_namespaces");
    assert_line(&output, 125, &["user.max_net_namespaces=0", "sysctl -w"]);
    // Nobody's user is not mapped in there, so no user namespace may be made.
    let output = broken(&["-U"], "true");
    assert_line(&output, 125, &["namespaces may not be made here", "Operation not permitted"]);
}
