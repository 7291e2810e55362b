//! The Linux target against the running kernel, with packets made by hand.
//!
//! Each scenario needs a process of its own (a namespace is entered while there is one thread),
//! so this harness starts itself again for each; as root also once as nobody, who has to make a
//! user namespace.

mod peer;
mod scenarios;

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use fourwave_testkit::{not_here, skip_test};

/// A scenario's exit status where there is no TUN or no namespace.
const FORBIDDEN: u8 = 77;
/// First argument of a scenario's process.
const PLAY: &str = "__play";
/// The user and group of the unprivileged turn.
const NOBODY: u32 = 65_534;
/// What a scenario may take, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, name] = &arguments[..]
        && first == PLAY
    {
        return play(name);
    }
    if arguments.iter().any(|argument| argument == "--list") {
        scenarios::ALL.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter.as_str()));
    let [mut passed, mut failed] = [0_u32; 2];
    for (name, _) in scenarios::ALL.iter().filter(|(name, _)| wanted(name)) {
        for nobody in [false, true].into_iter().filter(|nobody| !nobody || is_root()) {
            let who = if nobody { " as nobody" } else { "" };
            match run(name, nobody) {
                Ok(Some(0)) => {
                    println!("test {name}{who} ... ok");
                    passed += 1;
                }
                Ok(Some(code)) if code == i32::from(FORBIDDEN) => {
                    let test = format!("{name}{who}");
                    // Root could have let nobody in, but the device's mode is the machine's.
                    let say = if nobody { not_here } else { skip_test };
                    say(&test, "the line above says why");
                    // As for the usual harness; whoever counts skipped tests takes it off.
                    passed += 1;
                }
                other => {
                    println!("test {name}{who} ... FAILED ({other:?})");
                    failed += 1;
                }
            }
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored\n");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(name: &str, nobody: bool) -> std::io::Result<Option<i32>> {
    let mut command = Command::new("/proc/self/exe");
    command.args([PLAY, name]).stdin(Stdio::null());
    if nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child = command.spawn()?;
    wait(&mut child)
}

/// The exit status; none for a process that was killed because it took too long.
fn wait(child: &mut Child) -> std::io::Result<Option<i32>> {
    let began = Instant::now();
    while began.elapsed() < LIMIT {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

fn play(name: &str) -> ExitCode {
    let Some((_, scenario)) = scenarios::ALL.iter().find(|(known, _)| *known == name) else {
        eprintln!("no scenario {name}");
        return ExitCode::FAILURE;
    };
    match peer::Peer::enter() {
        Ok(mut peer) => {
            scenario(&mut peer);
            ExitCode::SUCCESS
        }
        Err(error) if error.is_forbidden() => {
            eprintln!("{error}");
            ExitCode::from(FORBIDDEN)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
