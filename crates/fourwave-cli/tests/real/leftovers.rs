//! What a program leaves behind: processes that outlive it, in a network that ends with it.

use std::process::Command;

use fourwave_testkit::Signal;

use crate::process::{finish, wait_for};
use crate::world::{HOST4, World, each_user};

const PORT: &str = "8000";

/// In sessions of their own, one of them without a parent.
const DAEMONS: &str = "setsid sleep 1000 & (setsid sleep 1000 &); ";
/// Two that do not end when asked, and say when they are so far.
const STUBBORN: &str = "setsid sh -c 'trap \"\" TERM HUP INT; echo ready; sleep 1000; :' & ";

fn shell(world: &World, options: &[&str], script: &str) -> Command {
    world.fourwave(options, &["sh", "-c", script])
}

/// Only of this run's: what has ended and was not waited for is none.
fn nothing_is_left(world: &World) {
    let nothing = || world.leftovers().is_empty();
    wait_for(&format!("the end of {:?}", world.leftovers()), nothing);
}

#[test]
fn they_are_ended_and_one_line_says_how_many() {
    each_user(&["setsid"], |world| {
        let run = finish(shell(world, &[], &format!("{DAEMONS} exit 7")));
        assert_eq!(run.code, 7, "{run:?}");
        let lines: Vec<&str> = run.stderr.lines().collect();
        let [left, summary] = lines[..] else { panic!("{run:?}") };
        let expected = "fourwave: the program left 2 processes behind: they were ended, as their \
                        network is (--wait keeps it up while they run)";
        assert_eq!(left, expected);
        assert!(summary.starts_with("fourwave: no connections"), "{run:?}");
        assert_eq!(world.leftovers(), Vec::<String>::new());
    });
}

#[test]
fn those_that_end_soon_are_not_worth_a_word() {
    each_user(&[], |world| {
        let run = finish(shell(world, &["-q"], "sleep 0.02 & exit 3"));
        assert_eq!((run.code, run.stderr.as_str()), (3, ""));
    });
}

#[test]
fn those_that_do_not_end_when_asked_are_killed() {
    each_user(&["setsid"], |world| {
        let script = format!("exec 3>&1; {{ {STUBBORN} read line; echo $line; }} </dev/null");
        let run = finish(shell(world, &["-q"], &script));
        assert_eq!(run.code, 0, "{run:?}");
        let told = "fourwave: the program left ";
        assert!(run.stderr.starts_with(told), "{run:?}");
        nothing_is_left(world);
    });
}

#[test]
fn they_end_with_a_gateway_that_is_told_to_end_or_killed() {
    each_user(&["setsid"], |world| {
        for (signal, code) in [(Signal::TERM, 143), (Signal::KILL, 137)] {
            let script = format!("{STUBBORN} {DAEMONS} exec sleep 1000");
            let run = world.spawn(&mut shell(world, &["-q"], &script));
            assert_eq!(run.line(), "ready");
            run.signal(signal);
            let run = run.end();
            assert_eq!(run.code, code, "{run:?}");
            let line = match signal {
                Signal::KILL => "fourwave: the gateway was killed: ",
                _ => "fourwave: the program left ",
            };
            assert!(run.stderr.starts_with(line), "{run:?}");
            assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
            nothing_is_left(world);
        }
    });
}

/// A program that puts itself into the background, as servers do.
#[test]
fn wait_keeps_their_network_up_until_they_end() {
    each_user(&["setsid"], |world| {
        let server = world.script("peer.py", &["serve", PORT, "read:end", "send:3", "close"]);
        let peer = world.path("peer.py");
        let script = format!(
            "setsid sh -c 'sleep 0.5; python3 {peer} call {HOST4} {PORT} send:5 shut read:end' & \
             exit 5"
        );
        let run = finish(shell(world, &["--wait"], &script));
        assert_eq!((run.code, run.stdout.as_str()), (5, "read 3 709e80c8 end\n"), "{run:?}");
        let lines: Vec<&str> = run.stderr.lines().collect();
        let [waiting, summary] = lines[..] else { panic!("{run:?}") };
        let told = "fourwave: the program has ended; its network stays up for ";
        assert!(waiting.starts_with(told), "{run:?}");
        let flag = "that it left behind (SIGTERM or Ctrl-C ends them)";
        assert!(waiting.ends_with(flag), "{run:?}");
        assert!(summary.starts_with("fourwave: 1 connection, "), "{run:?}");
        assert!(server.line().starts_with("read 5 "));
        // Where nothing is left, there is nothing to wait for or to say.
        let run = finish(shell(world, &["--wait", "-q"], "exit 6"));
        assert_eq!((run.code, run.stderr.as_str()), (6, ""));
    });
}

#[test]
fn a_signal_ends_the_wait_and_those_that_are_waited_for() {
    each_user(&["setsid"], |world| {
        // It says so once the program has ended and fourwave knows it.
        let script = "P=$$ setsid sh -c 'trap \"\" TERM; while kill -0 $P; do sleep 0.02; done; \
                      echo alone; sleep 1000; :' 2>/dev/null & exit 5";
        let run = world.spawn(&mut shell(world, &["--wait"], &format!("{DAEMONS} {script}")));
        assert_eq!(run.line(), "alone");
        run.signal(Signal::TERM);
        let run = run.end();
        assert_eq!(run.code, 5, "{run:?}");
        let lines: Vec<&str> = run.stderr.lines().collect();
        let [waiting, left, _summary] = lines[..] else { panic!("{run:?}") };
        assert!(waiting.contains("the program has ended; its network stays up for "), "{run:?}");
        assert!(left.starts_with("fourwave: the program left "), "{run:?}");
        nothing_is_left(world);
    });
}
