use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use super::*;

fn parse(text: &str) -> Target {
    Target::parse(text.into()).unwrap()
}

#[test]
fn a_dash_and_the_streams_names_are_streams() {
    for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        assert_eq!(parse(name), Target::Stdout);
    }
    assert_eq!(parse("/dev/stderr"), Target::Stderr);
    assert_eq!(parse("./-"), Target::File("./-".into()));
    assert!(Target::parse("".into()).is_err());
}

#[test]
fn text_makes_room_for_what_goes_to_standard_output() {
    assert_eq!(Text::beside([]), Text::Stdout);
    assert_eq!(Text::beside([&parse("a"), &Target::Stderr]), Text::Stdout);
    assert_eq!(Text::beside([&parse("a"), &Target::Stdout]), Text::Stderr);
}

/// A directory with a file `a`, a symbolic link to it, a hard link, one to what is not there, and
/// one to the directory itself.
fn linked() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("a"), "a").unwrap();
    fs::write(at("b"), "b").unwrap();
    symlink("a", at("symbolic")).unwrap();
    fs::hard_link(at("a"), at("hard")).unwrap();
    symlink("new", at("dangling")).unwrap();
    symlink("dangling", at("twice")).unwrap();
    symlink(".", at("here")).unwrap();
    symlink("loop", at("loop")).unwrap();
    directory
}

/// What is said of these, below `directory`; a dash is the stream.
fn checked(directory: &Path, read: &[&str], written: &[&str]) -> Result<(), String> {
    let mut files = Files::default();
    read.iter().for_each(|name| files.reads("the input", &directory.join(name)));
    for name in written {
        let target = if *name == "-" { Target::Stdout } else { parse(name) };
        let target = match target {
            Target::File(path) => Target::File(directory.join(path)),
            stream => stream,
        };
        files.writes("--out", &target);
    }
    files.check()
}

#[test]
fn an_output_is_no_input_by_whatever_name() {
    let directory = linked();
    for name in ["a", "symbolic", "hard", "here/a", "here/here/hard", "./a", "here/./a"] {
        let found = checked(directory.path(), &["b", "a"], &[name]);
        assert!(found.unwrap_err().contains("the same file: name another"), "{name}");
    }
    for name in ["b", "new", "dangling", "none/a", "/dev/null", "loop", "a/b"] {
        assert_eq!(checked(directory.path(), &["a"], &[name]), Ok(()), "{name}");
    }
    let [a, link] = ["a", "symbolic"].map(|name| directory.path().join(name));
    let line = format!(
        "--out {} and the input {} are the same file: name another",
        link.display(),
        a.display()
    );
    assert_eq!(checked(directory.path(), &["a"], &["symbolic"]), Err(line));
}

#[test]
fn two_outputs_are_two_files_before_there_are_any() {
    let directory = linked();
    for (one, other) in [
        ("a", "hard"),
        ("new", "new"),
        ("new", "./new"),
        ("new", "here/new"),
        ("new", "dangling"),
        ("twice", "here/dangling"),
        ("new", "here/here/new"),
    ] {
        assert!(checked(directory.path(), &[], &[one, other]).is_err(), "{one} {other}");
    }
    for (one, other) in [("new", "other"), ("/dev/null", "/dev/null"), ("none/a", "none/a")] {
        assert_eq!(checked(directory.path(), &[], &[one, other]), Ok(()), "{one} {other}");
    }
    let twice = checked(directory.path(), &[], &["-", "-"]).unwrap_err();
    assert_eq!(twice, "--out - and --out - go to the same stream: name a file");
    assert_eq!(checked(directory.path(), &["a"], &["a-", "-"]), Ok(()));
}

fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = names.map(|n| n.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_has_its_name_when_it_is_whole_and_leaves_nothing_when_it_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let target = Target::File(path.clone());
    let mut output = Output::create(&target).unwrap();
    output.write_all(b"half").unwrap();
    assert_eq!(names(directory.path()).len(), 1, "under another name");
    assert!(!path.exists());
    drop(output);
    assert!(names(directory.path()).is_empty());

    fs::write(&path, "older").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    let mut output = Output::create(&target).unwrap();
    let mut handle = output.handle().unwrap();
    output.write_all(b"new").unwrap();
    handle.write_all(b"er").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"older");
    output.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"newer");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o604);
    assert_eq!(names(directory.path()), ["file"]);
}

#[test]
fn links_stay_links() {
    let directory = linked();
    for (name, leads_to) in [("symbolic", "a"), ("dangling", "new"), ("twice", "new")] {
        let link = directory.path().join(name);
        Output::write(&Target::File(link.clone()), name.as_bytes()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "{name}");
        assert_eq!(fs::read_to_string(directory.path().join(leads_to)).unwrap(), name);
    }
}

#[test]
fn a_device_is_written_and_not_replaced() {
    Output::write(&parse("/dev/null"), b"gone").unwrap();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    let full = Output::write(&parse("/dev/full"), b"full").unwrap_err();
    assert_eq!(full, "/dev/full cannot be written: No space left on device");
}

#[test]
fn what_cannot_be_made_is_named_before_anything_is_written() {
    let directory = linked();
    for (name, why) in [
        ("none/file", "No such file or directory"),
        ("", "Is a directory"),
        ("new/", "Is a directory"),
        ("a/file", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
    ] {
        let path = format!("{}/{name}", directory.path().display());
        let error = Output::create(&Target::File(path.clone().into())).unwrap_err();
        assert!(error.starts_with(&format!("{path} cannot be written: {why}")), "{error}");
    }
    assert_eq!(names(directory.path()).len(), names(linked().path()).len());
}
