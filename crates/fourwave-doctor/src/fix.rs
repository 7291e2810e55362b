//! The commands that the findings propose, as a script to read. Nothing is run.

use std::collections::HashSet;
use std::fmt::Write;

use crate::Finding;

/// A shell script of comments and commands: what each finding is, its commands, and as comments
/// what only the program can change. A command that several findings propose comes once. Without a
/// finding it is one comment.
pub fn script(findings: &[Finding]) -> String {
    let mut out = String::new();
    if findings.is_empty() {
        out.push_str("# nothing to change\n");
        return out;
    }
    out.push_str("# fourwave changes nothing: read this, and run what you want of it as root.\n");
    out.push_str("# sysctl -w lasts until the next start; to keep it: /etc/sysctl.d/.\n");
    let mut seen = HashSet::new();
    for finding in findings {
        out.push('\n');
        comment(&mut out, "", &finding.headline);
        for text in &finding.program {
            comment(&mut out, "in the program: ", text);
        }
        for command in finding.host.iter().filter(|one| seen.insert(one.line.clone())) {
            comment(&mut out, "", &command.effect);
            let _infallible = writeln!(out, "{}", command.line);
        }
    }
    out
}

fn comment(out: &mut String, lead: &str, text: &str) {
    // A name with a line feed in it must not become a command.
    let text: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let _infallible = writeln!(out, "# {lead}{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, FindingKind, Severity};

    fn finding(headline: &str, lines: &[&str]) -> Finding {
        let host = lines
            .iter()
            .map(|line| Command { line: (*line).to_owned(), effect: "an effect".to_owned() })
            .collect();
        Finding {
            kind: FindingKind::Setting,
            severity: Severity::Advice,
            about: String::new(),
            headline: headline.to_owned(),
            evidence: vec![],
            cause: String::new(),
            program: vec!["close it".to_owned()],
            host,
            does_not_help: vec![],
        }
    }

    #[test]
    fn commands_come_once_and_the_rest_is_comments() {
        let two = [finding("a", &["sysctl -w x=1"]), finding("b\nrm -r /", &["sysctl -w x=1"])];
        let script = script(&two);
        let commands: Vec<&str> =
            script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert_eq!(commands, ["sysctl -w x=1"]);
        assert!(script.contains("# in the program: close it\n"));
        assert_eq!(super::script(&[]), "# nothing to change\n");
    }
}
