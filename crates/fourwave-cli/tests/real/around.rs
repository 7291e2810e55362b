//! Around the connections: what a run says, its status, and that it leaves nothing behind.

use std::fs;

use fourwave_testkit::Signal;

use crate::process::finish;
use crate::world::{HOST4, World, each_user};

const PORT: &str = "8000";

/// A request by a program, to a server that answers with a page.
fn fetch(world: &World) -> (crate::process::Server, [String; 4]) {
    let root = world.make_directory("origin");
    fs::write(format!("{root}/page"), "a page\n").unwrap();
    let url = format!("http://{HOST4}:{PORT}/page");
    let program = ["curl", "-sS", "--fail", &url].map(str::to_owned);
    (world.script("origin.py", &[PORT, &root]), program)
}

#[test]
fn stdout_is_the_programs_and_stderr_has_one_line_or_none() {
    each_user(&["curl"], |world| {
        let (_origin, program) = fetch(world);
        let program = program.each_ref().map(String::as_str);
        let run = finish(world.fourwave(&[], &program)).well();
        assert_eq!(run.stdout, "a page\n");
        let expected = "fourwave: 1 connection, 8";
        assert!(run.stderr.starts_with(expected), "{}", run.stderr);
        assert!(run.stderr.ends_with("; 1 closed by the program\n"), "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        let quiet = finish(world.fourwave(&["--quiet"], &program)).well();
        assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("a page\n", ""));
        // The ladder goes to stderr, the summary after it.
        let ladder = finish(world.fourwave(&["--ladder"], &program)).well();
        assert_eq!(ladder.stdout, "a page\n");
        assert!(ladder.stderr.contains("wave 4: \"I heard: closed\""), "{}", ladder.stderr);
        let last = ladder.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("fourwave: 1 connection, "), "{}", ladder.stderr);
        let follow = finish(world.fourwave(&["--follow", "--quiet"], &program)).well();
        assert_eq!(follow.stdout, "a page\n");
        assert!(follow.stderr.contains("TIME_WAIT"), "{}", follow.stderr);
    });
}

#[test]
fn the_status_is_the_programs() {
    each_user(&["curl"], |world| {
        let (_origin, program) = fetch(world);
        let missing = format!("{}-not", program[3]);
        let nobody = format!("http://{HOST4}:1/");
        for url in [&program[3], &missing, &nobody] {
            let mut direct = world.user("curl");
            direct.args(["-s", "--fail", url]);
            let code = finish(direct).code;
            let run = finish(world.fourwave(&["--quiet"], &["curl", "-s", "--fail", url]));
            assert_eq!(run.code, code, "{url}");
        }
        let run = finish(world.fourwave(&["-q"], &["sh", "-c", "kill -9 $$"]));
        assert_eq!(run.code, 137);
    });
}

/// Whatever way a run ends: no process, no mount, no file but those that were asked for.
#[test]
fn nothing_is_left_behind() {
    each_user(&["curl"], |world| {
        let (_origin, program) = fetch(world);
        let program = program.each_ref().map(String::as_str);
        let files = || {
            let entries = fs::read_dir(world.path("")).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let (before, mounts) = (files(), world.mounts());
        let home = world.make_directory("out");
        let write = ["ladder", "events", "pcap"].map(|name| format!("{home}/{name}"));
        let ladder = format!("--ladder={}", write[0]);
        let options = [ladder.as_str(), "--events", &write[1], "--pcap", &write[2]];
        let listing = || fs::read_dir(&home).unwrap().count();

        // One that cannot start leaves not even its files.
        let never = finish(world.fourwave(&options, &["/no/such/program"]));
        assert_eq!((never.code, listing()), (127, 0), "{never:?}");
        finish(world.fourwave(&options, &program)).well();
        finish(world.fourwave(&options, &["sh", "-c", "kill -9 $$"]));
        finish(world.fourwave(&options, &["curl", "-s", "http://10.9.0.2:1/"]));
        // A program that leaves a process behind: that ends with its network.
        finish(world.fourwave(&options, &["sh", "-c", "sleep 1000 & exit 0"])).well();
        // One that is asked to end, and one whose wrapper is killed.
        for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
            let ready = ["sh", "-c", "echo ready; exec sleep 1000"];
            let run = world.spawn(&mut world.fourwave(&options, &ready));
            assert_eq!(run.line(), "ready");
            run.signal(signal);
            run.end();
        }
        assert_eq!(listing(), 3);
        fs::remove_dir_all(&home).unwrap();
        assert_eq!((files(), world.mounts()), (before, mounts));
        let nothing = || world.leftovers().is_empty();
        crate::process::wait_for(&format!("the end of {:?}", world.leftovers()), nothing);
    });
}
