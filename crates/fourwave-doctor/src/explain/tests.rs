use std::collections::HashSet;

use super::*;
use crate::Thresholds;

#[test]
fn every_name_is_explained_and_every_reference_leads_somewhere() {
    let names = names();
    assert_eq!(names.len(), names.iter().collect::<HashSet<_>>().len(), "a name twice");
    for name in &names {
        let text = explain(name, 80).unwrap();
        assert!(text.lines().count() > 3, "{text}");
        assert!(text.ends_with('\n') && !text.contains("  \n") && !text.contains(" \n"), "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for line in text.lines().filter_map(|line| line.strip_prefix("see also: ")) {
            for other in line.split(", ").filter(|other| !other.is_empty()) {
                assert!(explain(other.trim_end_matches(','), 80).is_ok(), "{name}: see {other}");
            }
        }
    }
}

#[test]
fn a_state_has_many_spellings() {
    let text = explain("CLOSE_WAIT", 80).unwrap();
    assert!(text.starts_with("CLOSE_WAIT (`ss`: CLOSE-WAIT)\n"), "{text}");
    for name in ["CLOSE-WAIT", "close-wait", "close_wait"] {
        assert_eq!(explain(name, 80).unwrap(), text);
    }
    assert_eq!(explain("FIN-WAIT-2", 80), explain("fin_wait2", 80));
    assert_eq!(explain("SYN-RECV", 80), explain("SYN_RECEIVED", 80));
    assert_eq!(explain("ESTAB", 80), explain("established", 80));
    // By the engine's table.
    assert!(text.contains("- from ESTABLISHED: the other end's FIN arrives"), "{text}");
    assert!(text.contains("- to LAST_ACK: the program calls close()"), "{text}");
}

#[test]
fn a_knob_goes_by_its_short_and_its_long_name_and_knows_the_engines_own() {
    let text = explain("net.ipv4.tcp_fin_timeout", 80).unwrap();
    assert_eq!(text, explain("tcp_fin_timeout", 80).unwrap());
    assert!(text.contains("it does not shorten TIME_WAIT"));
    let knob = Config::knobs().iter().find(|knob| knob.name == "tcp_fin_timeout").unwrap();
    assert!(text.contains(knob.about), "{text}");
    assert!(explain("net.core.somaxconn", 80).is_ok());
    assert!(explain("so_linger", 80).unwrap().starts_with("SO_LINGER: "));
}

#[test]
fn a_wrong_name_gets_the_nearest_one_or_the_list() {
    let line = |name: &str| explain(name, 80).unwrap_err().to_string();
    assert_eq!(
        line("tcp_fin_timeot"),
        "there is no state, knob or finding tcp_fin_timeot: did you mean tcp_fin_timeout?"
    );
    assert!(line("CLOSE_WIAT").ends_with("did you mean CLOSE_WAIT?"));
    assert!(line("xyzzy").contains("--explain list"));
    assert!(explain("list", 80).unwrap().contains("findings: ports-exhausted, "));
}

#[test]
fn every_threshold_that_a_finding_names_exists() {
    for kind in FindingKind::ALL {
        for text in findings::note(kind).when {
            for name in text.split('`').skip(1).step_by(2) {
                assert!(Thresholds::default().show(name).is_some(), "{name} in {text}");
            }
        }
    }
}
