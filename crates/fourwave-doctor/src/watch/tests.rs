use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use termina::event::{KeyCode, KeyEvent, Modifiers};

use super::draw::{draw, to_ascii};
use super::sampler::Report;
use super::style::width;
use super::view::{Turn, View};
use crate::statistics::tests::{busy, idle};
use crate::statistics::{CloseWait, Destination, Queue};
use crate::{
    Command, Finding, FindingKind, GatherError, Limitation, Sample, Scope, Severity, Statistics,
};

fn finding(severity: Severity, about: &str, headline: &str) -> Finding {
    Finding {
        kind: FindingKind::PortsExhausted,
        severity,
        about: about.into(),
        headline: headline.into(),
        evidence: vec!["800 of 1,000 ports are in use".into(), "TIME_WAIT (800)".into()],
        cause: "this host opens many short connections to 10.0.0.9:5432 and closes first, so each \
                leaves a TIME_WAIT here that keeps its port for 60 s"
            .into(),
        program: vec!["keep connections and reuse them: keep-alive, a pool".into()],
        host: vec![Command {
            line: "sysctl -w net.ipv4.ip_local_port_range=\"10240 65535\"".into(),
            effect: "55,296 ports for each destination instead of 1,000".into(),
        }],
        does_not_help: vec!["tcp_fin_timeout: it is the life of an orphaned FIN_WAIT_2".into()],
    }
}

fn report(sample: &Sample, findings: Vec<Finding>) -> Report {
    Report {
        statistics: Statistics::of(sample),
        findings,
        limitations: Vec::new(),
        took: Duration::from_millis(12),
    }
}

fn three() -> Vec<Finding> {
    vec![
        finding(Severity::Critical, "a", "Ports for connections to 10.0.0.9:5432 run out in 2 s"),
        finding(
            Severity::Warning,
            "b",
            "leaky (pid 4242) does not close: 12 sockets in CLOSE_WAIT",
        ),
        finding(Severity::Advice, "c", "tcp_fin_timeout = 10 does not shorten TIME_WAIT"),
    ]
}

/// A view after two samples at a busy host.
fn view() -> View {
    let mut view = View::new(&Scope::Own, Duration::from_secs(2));
    let sample = busy();
    let before =
        Sample { after: sample.before.clone(), interval: Duration::ZERO, ..sample.clone() };
    assert!(view.take(Ok(report(&before, Vec::new()))));
    assert!(view.take(Ok(report(&sample, three()))));
    view
}

fn screen(view: &mut View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view)).unwrap();
    let text = terminal.backend().to_string();
    let lines = text.lines().map(|line| line.trim_matches('"').trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn where_there_is_nothing_but_ascii_every_sign_has_another_as_wide() {
    let mut view = view();
    for over in [None, Some(KeyCode::Char('?')), Some(KeyCode::Escape), Some(KeyCode::Enter)] {
        over.into_iter().for_each(|key| press(&mut view, key));
        for (width, height) in [(120, 40), (80, 24), (40, 12)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            let mut drawn = |ascii: bool| {
                let draw = |frame: &mut ratatui::Frame<'_>| {
                    draw(frame, &mut view);
                    if ascii {
                        to_ascii(frame.buffer_mut());
                    }
                };
                terminal.draw(draw).unwrap();
                terminal.backend().to_string()
            };
            let (whole, ascii) = (drawn(false), drawn(true));
            assert!(ascii.is_ascii() && !whole.is_ascii(), "{ascii}");
            let unknown = |text: &str| text.matches('?').count();
            assert_eq!(unknown(&ascii), unknown(&whole), "none is without a sign: {ascii}");
            for (line, other) in whole.lines().zip(ascii.lines()) {
                assert_eq!(line.chars().count(), other.chars().count());
            }
        }
    }
}

fn press(view: &mut View, code: KeyCode) {
    assert_eq!(view.key(KeyEvent::new(code, Modifiers::NONE)), Turn::GoOn);
}

#[test]
fn the_table_in_80_by_24() {
    insta::assert_snapshot!(screen(&mut view(), 80, 24));
}

#[test]
fn the_table_in_120_by_40() {
    insta::assert_snapshot!(screen(&mut view(), 120, 40));
}

#[test]
fn the_table_in_40_by_12() {
    insta::assert_snapshot!(screen(&mut view(), 40, 12));
}

#[test]
fn one_finding_in_80_by_24() {
    let mut view = view();
    press(&mut view, KeyCode::Enter);
    insta::assert_snapshot!(screen(&mut view, 80, 24));
}

#[test]
fn the_help_in_80_by_24() {
    let mut view = view();
    press(&mut view, KeyCode::Char('?'));
    insta::assert_snapshot!(screen(&mut view, 80, 24));
}

#[test]
fn nothing_to_say_and_what_was_not_seen() {
    let mut view = View::new(&Scope::Pid(7), Duration::from_millis(500));
    assert!(screen(&mut view, 80, 24).contains("looking"));
    let sample = Sample { before: idle(), after: idle(), interval: Duration::from_secs(1) };
    let mut report = report(&sample, Vec::new());
    report.limitations.push(Limitation {
        what: "the programs of 12 sockets".into(),
        remedy: "run it as root".into(),
    });
    view.take(Ok(report));
    insta::assert_snapshot!(screen(&mut view, 80, 24));
}

#[test]
fn every_size_can_be_drawn() {
    for width in [1, 2, 5, 10, 33, 59, 60, 61, 99, 100, 300] {
        for height in [1, 2, 3, 4, 5, 9, 17, 18, 19, 20, 21, 100] {
            let mut view = view();
            screen(&mut view, width, height);
            press(&mut view, KeyCode::Enter);
            screen(&mut view, width, height);
            press(&mut view, KeyCode::Char('?'));
            screen(&mut view, width, height);
        }
    }
}

/// Numbers as long as they get.
fn large() -> Report {
    let mut report = report(&busy(), Vec::new());
    let statistics = &mut report.statistics;
    for (at, (_, number)) in statistics.states.iter_mut().enumerate() {
        *number = u64::MAX >> (8 * (at % 8));
    }
    let longest = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535";
    let to = [longest, "192.168.100.200:65535", "10.0.0.9:5432", "[2001:db8::1]:443"];
    let rates = [-123_456.7, 0.0, 0.3, 98_765.4];
    statistics.destinations = std::iter::zip(to, rates)
        .zip([(65_535, 65_535), (1, 64_512), (20_000, 28_232), (999, 28_232)])
        .map(|((to, per_second), (used, total))| Destination {
            from: to.parse::<std::net::SocketAddr>().unwrap().ip(),
            to: to.parse().unwrap(),
            used,
            total,
            time_wait: used,
            per_second,
            levels_off: false,
        })
        .collect();
    let program = |name: &str, pid| Some((name.to_owned(), pid));
    statistics.close_wait = [
        (program("a-name-of-fifteen", 4_194_304), 1_048_576, u64::MAX),
        (program("postgres", 7), 12, 120_013),
        (None, 65_535, 0),
    ]
    .map(|(program, count, unread)| CloseWait { program, count, unread })
    .into();
    let queue = |local: &str, queue, backlog, half_open| Queue {
        local: local.parse().unwrap(),
        program: Some("a-name-of-fifteen".into()),
        queue,
        backlog,
        half_open,
    };
    statistics.listeners = vec![
        queue(longest, u32::MAX, u32::MAX, u32::MAX),
        queue("192.168.100.200:65535", 65_535, 65_535, 65_535),
    ];
    report
}

/// The words of a line that are numbers, each with the word after it where that is its unit.
fn statistics(line: &str) -> Vec<String> {
    const UNITS: [&str; 12] =
        ["s", "min", "h", "d", "ms", "bytes", "byte", "KiB", "MiB", "GiB", "TiB", "UTC"];
    let words: Vec<&str> = line.split([' ', '─', '▶', '▁', '█']).collect();
    let words: Vec<&str> = words
        .into_iter()
        .map(|word| word.trim_matches(['(', ')', ',']))
        .filter(|word| !word.is_empty())
        .collect();
    let counts = |word: &str| {
        let is_state = ["FIN_WAIT_1", "FIN_WAIT_2"].contains(&word);
        word.contains(|c: char| c.is_ascii_digit()) && !is_state
    };
    let unit = |word: &&&str| UNITS.contains(*word);
    (0..words.len())
        .filter(|at| counts(words[*at]))
        .map(|at| match words.get(at + 1).filter(unit) {
            Some(unit) => format!("{} {unit}", words[at]),
            None => words[at].to_owned(),
        })
        .collect()
}

#[test]
fn a_figure_is_whole_or_not_there() {
    let mut view = view();
    view.take(Ok(large()));
    let all: Vec<String> = screen(&mut view, 1000, 60).lines().flat_map(statistics).collect();
    assert!(
        ["65,535", "117.2 KiB", "16777216.0 TiB", "0.1%", "-123456.7/s", "4194304"]
            .iter()
            .all(|one| all.iter().any(|known| known == one)),
        "{all:?}"
    );
    for width in 1..=300_u16 {
        let screen = screen(&mut view, width, 60);
        for line in screen.lines() {
            assert!(!line.contains("0.1%") || line.contains("under 0.1%"), "{width}: {line:?}");
            // An address that is shortened shows it, and keeps its port.
            let shown = statistics(line).into_iter().filter(|one| !one.contains('…'));
            for one in shown {
                assert!(all.contains(&one), "{one:?} at {width} in {line:?}\n{screen}");
            }
        }
    }
}

#[test]
fn what_matters_most_is_there_where_it_is_narrow() {
    let mut view = view();
    view.take(Ok(large()));
    for width in [60, 80, 120, 200] {
        let screen = screen(&mut view, width, 40);
        for one in ["65,535", "exhausted", "1,048,576", "4,294,967,295", ":5432", "ports"] {
            assert!(screen.contains(one), "{one} at {width}\n{screen}");
        }
    }
}

#[test]
fn large_figures_in_40_60_80_120_and_200_columns() {
    for (columns, lines) in [(40, 20), (60, 24), (80, 24), (120, 30), (200, 30)] {
        let mut view = view();
        view.take(Ok(large()));
        insta::assert_snapshot!(format!("large_{columns}"), screen(&mut view, columns, lines));
    }
}

#[test]
fn words_that_are_too_long_lose_nothing() {
    use super::detail::wrapped;
    let text = "a 18,446,744,073,709,551,615 b /proc/sys/net/ipv4/tcp_fin_timeout";
    for columns in 8..40 {
        let lines = wrapped(text, columns, "  ");
        assert!(lines.iter().all(|line| width(line) <= columns), "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
    }
}

#[test]
fn a_failure_is_told_to_its_end_wherever_it_is_narrow() {
    let mut view = view();
    view.take(Err(GatherError::Gone { pid: 4_194_304 }));
    let whole = screen(&mut view, 300, 30).lines().last().unwrap().replace(' ', "");
    for width in [20, 40, 60] {
        let screen = screen(&mut view, width, 30);
        assert!(screen.replace(['\n', ' '], "").ends_with(&whole), "{screen}");
    }
}

#[test]
fn keys_are_named_whole_or_not_at_all() {
    for width in 1..80 {
        let screen = screen(&mut view(), width, 20);
        let last = screen.lines().last().unwrap();
        assert!("q quit  ↑↓ select  Enter explain  s sort  p pause  ? help".starts_with(last));
        assert!(
            ["", "quit", "select", "explain", "sort", "pause", "help"]
                .contains(&last.rsplit(' ').next().unwrap()),
            "{last:?}"
        );
    }
}

#[test]
fn a_finding_stays_selected_wherever_it_goes() {
    let mut view = view();
    let mut findings = three();
    findings.insert(0, finding(Severity::Critical, "new", "worse"));
    view.take(Ok(report(&busy(), findings.clone())));
    assert_eq!(view.selected().unwrap().about, "new", "the worst until a person chooses");
    view.take(Ok(report(&busy(), three())));
    press(&mut view, KeyCode::Down);
    assert_eq!(view.selected().unwrap().about, "b");
    view.take(Ok(report(&busy(), findings)));
    assert_eq!((view.selected().unwrap().about.as_str(), view.place()), ("b", Some(2)));
    // Gone: the place stays, and a text that is shown of it is closed.
    press(&mut view, KeyCode::Enter);
    view.take(Ok(report(&busy(), three()[..1].to_vec())));
    assert_eq!(view.selected().unwrap().about, "a");
    assert!(screen(&mut view, 80, 24).contains("ports and TIME_WAIT"));
    view.take(Ok(report(&busy(), Vec::new())));
    assert!(view.selected().is_none());
    press(&mut view, KeyCode::Enter);
    press(&mut view, KeyCode::Down);
    assert!(screen(&mut view, 80, 24).contains("nothing to say"));
}

#[test]
fn the_selection_ends_at_the_ends() {
    let mut view = view();
    press(&mut view, KeyCode::Up);
    assert_eq!(view.place(), Some(0));
    press(&mut view, KeyCode::End);
    assert_eq!(view.place(), Some(2));
    press(&mut view, KeyCode::PageDown);
    assert_eq!(view.place(), Some(2));
    press(&mut view, KeyCode::Home);
    assert_eq!(view.place(), Some(0));
}

#[test]
fn a_text_scrolls_as_far_as_it_goes_and_back_at_once() {
    let mut view = view();
    press(&mut view, KeyCode::Enter);
    let top = screen(&mut view, 40, 12);
    press(&mut view, KeyCode::End);
    let bottom = screen(&mut view, 40, 12);
    assert!(bottom.contains("see also") && !top.contains("see also"), "{bottom}");
    press(&mut view, KeyCode::Down);
    assert_eq!(screen(&mut view, 40, 12), bottom);
    press(&mut view, KeyCode::Up);
    assert_ne!(screen(&mut view, 40, 12), bottom);
    press(&mut view, KeyCode::Home);
    assert_eq!(screen(&mut view, 40, 12), top);
    press(&mut view, KeyCode::Escape);
    assert!(screen(&mut view, 80, 24).contains("3 findings"));
}

#[test]
fn paused_it_stands_still() {
    let mut view = view();
    let before = screen(&mut view, 80, 24);
    press(&mut view, KeyCode::Char('p'));
    assert!(!view.take(Ok(report(&busy(), Vec::new()))));
    let paused = screen(&mut view, 80, 24);
    assert!(paused.contains("PAUSED") && paused.contains("3 findings"), "{paused}");
    press(&mut view, KeyCode::Char('p'));
    assert_eq!(screen(&mut view, 80, 24), before);
    assert!(view.take(Ok(report(&busy(), Vec::new()))));
}

#[test]
fn destinations_are_sorted_by_what_is_asked_for() {
    let mut view = view();
    let order = |view: &View| -> Vec<String> {
        view.statistics
            .as_ref()
            .unwrap()
            .destinations
            .iter()
            .map(|row| row.to.to_string())
            .collect()
    };
    assert_eq!(order(&view), ["10.0.0.9:5432", "10.0.0.8:443"]);
    for (name, first) in [
        ("time left", "10.0.0.9:5432"),
        ("TIME_WAIT", "10.0.0.9:5432"),
        ("address", "10.0.0.8:443"),
    ] {
        press(&mut view, KeyCode::Char('s'));
        assert!(screen(&mut view, 80, 24).contains(&format!("by {name}")), "{name}");
        assert_eq!(order(&view)[0], first, "{name}");
    }
    // What comes later is sorted alike.
    view.take(Ok(report(&busy(), three())));
    assert_eq!(order(&view)[0], "10.0.0.8:443");
}

#[test]
fn a_look_that_fails_is_told_and_the_last_one_stays() {
    let mut view = view();
    view.take(Err(GatherError::Gone { pid: 7 }));
    let failed = screen(&mut view, 120, 40);
    assert!(failed.contains("no process 7") && failed.contains("3 findings"), "{failed}");
    view.take(Ok(report(&busy(), three())));
    assert!(!screen(&mut view, 120, 40).contains("no process 7"));
}

#[test]
fn q_and_ctrl_c_end_it_from_everywhere() {
    let mut view = view();
    for over in [KeyCode::Tab, KeyCode::Enter, KeyCode::Char('?')] {
        press(&mut view, over);
        let c = KeyEvent::new(KeyCode::Char('c'), Modifiers::CONTROL);
        assert_eq!(view.key(c), Turn::Quit);
        let q = KeyEvent::new(KeyCode::Char('q'), Modifiers::NONE);
        assert_eq!(view.key(q), Turn::Quit);
    }
    press(&mut view, KeyCode::Char('c'));
}

#[test]
fn names_cannot_draw_on_the_terminal() {
    let mut sample = busy();
    for owners in sample.after.owners.values_mut() {
        owners[0].program = "\x1b[31mred\x07".into();
    }
    view();
    let mut view = View::new(&Scope::Own, Duration::from_secs(1));
    view.take(Ok(report(&sample, vec![finding(Severity::Critical, "", "\x1b[2Jgone")])));
    let screen = screen(&mut view, 120, 40);
    assert!(!screen.contains('\x1b') && screen.contains("gone"), "{screen}");
}
